/**
 * The messages of the wire, made from the server's /openapi.json and /asyncapi.json by `npm run types`. Not written by hand:
 * `npm run e2e` fails while this file and the server's descriptions differ.
 */

export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * AgentEntry
         * @description What one agent earned and cost; USD.
         */
        AgentEntry: {
            agent: string;
            revenue: number;
            expenses: number;
            net: number;
        };
        /**
         * AnthropicComponent
         * @description API spend of the running UTC day and since the beginning; USD.
         */
        AnthropicComponent: {
            /** @description Cost of the current UTC day so far. */
            dailySpend: number;
            /** @description Cost since the first day that counts. */
            totalSpend: number;
        };
        /**
         * Auth
         * @description The key, as the first message of a client that gave none in the address.
         */
        Auth: {
            /** @enum {string} */
            type: "auth";
            apiKey: string;
        };
        /**
         * Breakdown
         * @description The components with their sums, the costs by kind, and revenue and costs by agent.
         */
        Breakdown: {
            kalshi: components["schemas"]["KalshiComponent"];
            anthropic: components["schemas"]["AnthropicComponent"];
            johns: components["schemas"]["JohnsComponent"];
            summary: components["schemas"]["Summary"];
            costBreakdown: components["schemas"]["CostEntry"][];
            agentAttribution: components["schemas"]["AgentEntry"][];
            /** @example 2026-02-25T22:24:00.000Z */
            timestamp: string;
            epoch: string;
            seq: number;
            /** @description Sources that have given no reading yet: their figures are zeros. */
            degraded: string[];
            /** @description Whether any source's figures are an estimate. */
            estimated: boolean;
            /** @description Whether each configured source has given a reading of its whole history. Only such snapshots are used to compare. */
            complete: boolean;
        };
        /**
         * BreakerConfig
         * @description After how many failures in a row a breaker opens, and for how many ms.
         */
        BreakerConfig: {
            failureThreshold: number;
            resetTimeout: number;
        };
        /**
         * BreakerReset
         * @description Which breaker to close; without a service all of them.
         */
        BreakerReset: {
            /** @example kalshi */
            service?: string;
        };
        /** BreakerResetDone */
        BreakerResetDone: {
            reset: string[];
        };
        /**
         * BreakerServices
         * @description The circuit breaker of each source, by its service name.
         */
        BreakerServices: {
            kalshi: components["schemas"]["BreakerState"];
            anthropic: components["schemas"]["BreakerState"];
            johns_revenue: components["schemas"]["BreakerState"];
        };
        /**
         * BreakerState
         * @description One circuit breaker; times in ms since the epoch, `nextAttemptTime` only while it is open.
         */
        BreakerState: {
            /** @enum {string} */
            state: "CLOSED" | "HALF_OPEN" | "OPEN";
            failureCount: number;
            lastFailureTime: number | null;
            lastSuccessTime: number | null;
            nextAttemptTime: number | null;
        };
        /**
         * Breakers
         * @description The circuit breaker of each upstream.
         */
        Breakers: {
            /** @example 2026-02-25T22:24:00.000Z */
            timestamp: string;
            services: components["schemas"]["BreakerServices"];
            config: components["schemas"]["BreakerConfig"];
        };
        /**
         * BriefCacheStats
         * @description Requests that the cache answered, and others; an answer from the last known good reading is a miss.
         */
        BriefCacheStats: {
            hits: number;
            misses: number;
            total: number;
            /** @example 84.25% */
            hitRate: string;
        };
        /**
         * BriefHealth
         * @description The clients and the cache, and what a client needs to interpret the figures: the zone of the business days and the time between two updates.
         */
        BriefHealth: {
            /** @enum {string} */
            status: "ok";
            timestamp: number;
            connectedClients: number;
            cacheStats: components["schemas"]["BriefCacheStats"];
            uptime: number;
            /**
             * @description IANA name of the zone of the business days.
             * @example UTC
             */
            businessTimezone: string;
            /** @description Time between two updates, ms. */
            updateIntervalMs: number;
            /** @description In production with a key only. */
            reconciliation?: components["schemas"]["Reconciliation"];
        };
        /** CacheCleared */
        CacheCleared: {
            /** @constant */
            cleared: true;
        };
        /** CacheServices */
        CacheServices: {
            processCache: string;
            redis: string;
            sqlite: string;
        };
        /**
         * CacheStats
         * @description Counters since the start; `keys` by key family.
         */
        CacheStats: {
            hits: number;
            misses: number;
            total: number;
            /** @example 84.25% */
            hitRate: string;
            sets: number;
            deletes: number;
            errors: number;
            processCacheSize: number;
            /** @example 2026-02-25T22:24:00.000Z */
            timestamp: string;
            tiers: components["schemas"]["TiersStats"];
            keys: {
                [key: string]: components["schemas"]["FamilyStats"];
            };
        };
        /**
         * CardRow
         * @description One row of a card: the component's field, its label, and how it is formatted.
         */
        CardRow: {
            field: string;
            label: string;
            /** @enum {string} */
            format: "count" | "counts" | "deals" | "text" | "usd";
        };
        /**
         * Cluster
         * @description This node and the others of its cluster; `lagUpdates` and `lagMs` are how far this node is behind the stream.
         */
        Cluster: {
            node: string;
            /** @enum {string} */
            role: "all" | "poll" | "push";
            /**
             * @example leading
             * @example following
             * @example candidate
             * @example no bus
             */
            state: string;
            leader: string | null;
            fence: number;
            /** @enum {string} */
            bus: "connected" | "down";
            lagUpdates: number;
            lagMs: number;
            nodes: components["schemas"]["ClusterNode"][];
        };
        /**
         * ClusterNode
         * @description One node of a cluster, by its own last report; `lagMs` is the time for which it has lacked the newest update.
         */
        ClusterNode: {
            id: string;
            /** @enum {string} */
            role: "all" | "poll" | "push";
            state: string;
            leads: boolean;
            seq: number;
            lagMs: number;
            clients: number;
            /** @example 2026-02-25T22:24:00.000Z */
            since: string;
            version: string;
        };
        /**
         * Components
         * @description The figures of each source, by its name.
         */
        Components: {
            kalshi: components["schemas"]["KalshiComponent"];
            anthropic: components["schemas"]["AnthropicComponent"];
            johns: components["schemas"]["JohnsComponent"];
        };
        /**
         * ComponentsUpdate
         * @description The breakdown of the snapshot with the same `seq`.
         */
        ComponentsUpdate: {
            data: components["schemas"]["Breakdown"];
            /** @example 2026-02-25T22:24:00.000Z */
            timestamp: string;
            /** @enum {string} */
            source: "initial" | "replay" | "stream";
        };
        /**
         * ConnectAuth
         * @description The `auth` of a connection. Socket.IO's own clients add `pid` and `offset` when they come back after a cut.
         */
        ConnectAuth: {
            /**
             * @description The read key; `?apiKey=` in the address does as well.
             * @default null
             */
            apiKey?: string | null;
            /**
             * @description Whether broadcasts end with an offset; by default to browsers and to Node only.
             * @default null
             */
            recovery?: boolean | null;
            /**
             * @description From the CONNECT answer of the connection that was lost.
             * @default null
             */
            pid?: string | null;
            /**
             * @description The last argument of the last broadcast received.
             * @default null
             */
            offset?: string | null;
        };
        /**
         * ConnectError
         * @description Why a connection was refused; `data` after too many wrong keys.
         */
        ConnectError: {
            /** @example Invalid or missing API key */
            message: string;
            data?: components["schemas"]["ConnectErrorData"];
        };
        /**
         * ConnectErrorData
         * @description `status` is that of HTTP; `retryAfter` in seconds.
         */
        ConnectErrorData: {
            status: number;
            retryAfter?: number;
        };
        /**
         * ConnectSuccess
         * @description Sent first after a connection.
         */
        ConnectSuccess: {
            message: string;
            clientId: string;
            /** @example 2026-02-25T22:24:00.000Z */
            timestamp: string;
            /** @enum {string} */
            transport: "polling" | "websocket";
        };
        /**
         * Connected
         * @description The CONNECT answer; `pid` only where the connection can be recovered.
         */
        Connected: {
            sid: string;
            pid?: string;
        };
        /**
         * CostEntry
         * @description The sum of one kind of cost in USD, and its percentage of all costs before credits. A credit has a negative value and 0 percent.
         */
        CostEntry: {
            name: string;
            value: number;
            percentage: number;
        };
        /**
         * Counts
         * @description Requests to the cache or to one of its tiers, and their duration.
         */
        Counts: {
            hits: number;
            misses: number;
            sets: number;
            deletes: number;
            errors: number;
            p50Ms: number;
            p99Ms: number;
        };
        /**
         * DashboardMessage
         * @description The sums, the last sums of the day before (on the first day the first complete ones), and 30 days; USD.
         */
        DashboardMessage: {
            /** @example 2026-02-25T22:24:00.000Z */
            timestamp: string;
            revenue: number;
            expenses: number;
            netPnL: number;
            previousRevenue: number;
            previousExpenses: number;
            previousNetPnL: number;
            trendsData: components["schemas"]["Trend"][];
            costBreakdown: components["schemas"]["CostEntry"][];
            agentAttribution: components["schemas"]["AgentEntry"][];
            epoch: string;
            seq: number;
            /** @description Sources that have given no reading yet: their figures are zeros. */
            degraded: string[];
            /** @description Whether any source's figures are an estimate. */
            estimated: boolean;
            /** @description Whether each configured source has given a reading of its whole history. Only such snapshots are used to compare. */
            complete: boolean;
            /**
             * @description When `previous*` were published, where that is in the day itself.
             * @example 2026-02-25T22:24:00.000Z
             */
            since?: string;
        };
        /**
         * Deal
         * @description One of John's deals; USD.
         */
        Deal: {
            id: string;
            name: string;
            amount: number;
            status: string;
            closedDate: string | null;
        };
        /**
         * DeltaEvent
         * @description A delta as an event, with the whole ledger after it at its top level.
         */
        DeltaEvent: {
            /** @enum {string} */
            type: "delta";
            kalshiPnL: number;
            totalCosts: number;
            totalRevenue: number;
            netPnL: number;
            breakdown: components["schemas"]["LedgerParts"];
            components: components["schemas"]["LedgerCounts"];
            metadata: components["schemas"]["LedgerMetadata"];
            /** @description Sources that have given no reading yet: their figures are zeros. */
            degraded: string[];
            /** @description Whether any source's figures are an estimate. */
            estimated: boolean;
            /** @description Whether each configured source has given a reading of its whole history. Only such snapshots are used to compare. */
            complete: boolean;
            timestamp: number;
            epoch: string;
            seq: number;
            data: components["schemas"]["LedgerDelta"];
        };
        /**
         * DeltaMessage
         * @description A change by a cent or more.
         */
        DeltaMessage: {
            /** @enum {string} */
            type: "delta";
            data: components["schemas"]["LedgerDelta"];
            timestamp: number;
        };
        /**
         * ErrorDetail
         * @description `id` is in the server's log too; `retryAfter` (s) with 429, `stack` in development only.
         */
        ErrorDetail: {
            message: string;
            code: string;
            id: string;
            retryAfter?: number;
            stack?: string;
        };
        /**
         * ErrorMessage
         * @description An invalid `since`, or too many messages.
         */
        ErrorMessage: {
            message: string;
            /**
             * @example bad_payload
             * @example rate_limited
             */
            code: string;
        };
        /**
         * Exact
         * @description Figures before rounding, as decimal text; USD.
         */
        Exact: {
            /** @example 1374.504999 */
            netPnL: string;
        };
        /** Failure */
        Failure: {
            /** @constant */
            success: false;
            error: components["schemas"]["ErrorDetail"];
            /** @example 2026-02-25T22:24:00.000Z */
            timestamp: string;
        };
        /**
         * FamilyStats
         * @description The keys with the same first word.
         */
        FamilyStats: {
            hits: number;
            misses: number;
            sets: number;
            deletes: number;
            errors: number;
            p50Ms: number;
            p99Ms: number;
            tiers: {
                [key: string]: components["schemas"]["Counts"];
            };
        };
        /**
         * FeedError
         * @description A message that was not understood; the third one closes the connection with 1008.
         */
        FeedError: {
            /** @enum {string} */
            type: "error";
            message: string;
        };
        /**
         * @description The file's form.
         * @enum {string}
         */
        Format: "csv" | "json";
        /**
         * Health
         * @description `unhealthy` (503) when the loop has stopped or the store cannot be written.
         */
        Health: {
            /** @enum {string} */
            status: "healthy" | "unhealthy";
            /** @example 2026-02-25T22:24:00.000Z */
            timestamp: string;
            uptime: number;
            environment: string;
            services: components["schemas"]["HealthServices"];
            demo: boolean;
            /** @description Names of the parts that are not healthy. */
            degraded: string[];
            parts: {
                [key: string]: components["schemas"]["HealthPart"];
            };
            /** @description In production with a key only. */
            reconciliation?: components["schemas"]["Reconciliation"];
            /** @description Only on a node of a cluster; in production with a key only. */
            cluster?: components["schemas"]["Cluster"];
        };
        /**
         * HealthPart
         * @description One part of the server: its state and since when; in production `detail` needs a key.
         */
        HealthPart: {
            state: string;
            ok: boolean;
            /** @example 2026-02-25T22:24:00.000Z */
            since: string;
            detail?: string;
        };
        /** HealthServices */
        HealthServices: {
            cache: components["schemas"]["CacheServices"];
            aggregator: string;
        };
        /**
         * HistoryRow
         * @description One instant or one interval: open, high, low and close of net P&L, and the last of the other figures; USD.
         */
        HistoryRow: {
            timestamp: number;
            netPnL: number;
            kalshiPnL: number;
            costs: number;
            revenue: number;
            open: number;
            high: number;
            low: number;
            close: number;
            count: number;
            /** @description With resolution 1d and 1w only: the business day that the row begins with, YYYY-MM-DD. */
            date?: string;
            /**
             * @description In rows that `pnl-backend import` took over, and in no other.
             * @constant
             */
            imported?: true;
            /**
             * @description Sources that were not live at any time in the row.
             * @default []
             */
            degraded?: string[];
            /**
             * @description Whether any figure in the row is an estimate.
             * @default false
             */
            estimated?: boolean;
            /**
             * @description Whether the figures are those of complete snapshots, to which each configured source had given its whole history; others do not count where there is one. False in imported rows.
             * @default true
             */
            complete?: boolean;
            /**
             * @description The history was found wrong later and is shown as it was published; see `restatements`.
             * @constant
             */
            restated?: true;
        };
        /**
         * Importing
         * @description Progress of the first import of a source's history: what is read, and how many rows so far.
         */
        Importing: {
            what: string;
            done: number;
            /**
             * @description Null where the number of rows is unknown.
             * @default null
             */
            total?: number | null;
        };
        /**
         * JohnsComponent
         * @description Invoiced and collected revenue; USD.
         */
        JohnsComponent: {
            /** @description Invoiced since the beginning. */
            invoiced: number;
            /** @description Collected since the beginning. */
            collected: number;
            /**
             * @description Deals not yet won; counted nowhere.
             * @default 0
             */
            pipeline?: number;
        };
        /**
         * KalshiComponent
         * @description Trading: cash, open markets, P&L before fees, fees; USD.
         */
        KalshiComponent: {
            /** @description Cash. */
            balance: number;
            /** @description Markets with an open position. */
            positions: number;
            /** @description Realized and unrealized P&L, before fees. */
            pnl: number;
            /** @description P&L of closed positions. */
            realizedPnl: number;
            /** @description What the open positions are worth, less their cost. */
            unrealizedPnl: number;
            /** @description Trading fees. */
            fees: number;
            /**
             * @description How many open positions each kind of mark valued.
             * @default {}
             */
            marks?: {
                [key: string]: number;
            };
        };
        /**
         * Ledger
         * @description The ledger with its time and its sequence number.
         */
        Ledger: {
            kalshiPnL: number;
            totalCosts: number;
            totalRevenue: number;
            netPnL: number;
            breakdown: components["schemas"]["LedgerParts"];
            components: components["schemas"]["LedgerCounts"];
            metadata: components["schemas"]["LedgerMetadata"];
            /** @description Sources that have given no reading yet: their figures are zeros. */
            degraded: string[];
            /** @description Whether any source's figures are an estimate. */
            estimated: boolean;
            /** @description Whether each configured source has given a reading of its whole history. Only such snapshots are used to compare. */
            complete: boolean;
            timestamp: number;
            epoch: string;
            seq: number;
        };
        /**
         * LedgerCounts
         * @description How many markets are open and closed; `recentDeals` counts `deals`.
         */
        LedgerCounts: {
            openTradeCount: number;
            closedTradeCount: number;
            recentDeals: number;
            deals: components["schemas"]["Deal"][];
        };
        /**
         * LedgerDelta
         * @description What changed since the message with `prevSeq`, and the sums after the change; USD.
         */
        LedgerDelta: {
            timestamp: number;
            netPnLDelta: number;
            kalshiDelta: number;
            costsDelta: number;
            revenueDelta: number;
            changePercent: number;
            netPnL: number;
            kalshiPnL: number;
            totalCosts: number;
            totalRevenue: number;
            breakdown: components["schemas"]["LedgerParts"];
            seq: number;
            prevSeq: number;
            /** @description Sources that have given no reading yet: their figures are zeros. */
            degraded: string[];
            /** @description Whether any source's figures are an estimate. */
            estimated: boolean;
            /** @description Whether each configured source has given a reading of its whole history. Only such snapshots are used to compare. */
            complete: boolean;
            /** @description Where a count or a deal has changed. */
            components?: components["schemas"]["LedgerCounts"];
        };
        /**
         * LedgerFigures
         * @description netPnL = kalshiPnL + totalRevenue - totalCosts; `totalRevenue` is what John collected, alone. USD.
         */
        LedgerFigures: {
            kalshiPnL: number;
            totalCosts: number;
            totalRevenue: number;
            netPnL: number;
            breakdown: components["schemas"]["LedgerParts"];
            components: components["schemas"]["LedgerCounts"];
            metadata: components["schemas"]["LedgerMetadata"];
            /** @description Sources that have given no reading yet: their figures are zeros. */
            degraded: string[];
            /** @description Whether any source's figures are an estimate. */
            estimated: boolean;
            /** @description Whether each configured source has given a reading of its whole history. Only such snapshots are used to compare. */
            complete: boolean;
        };
        /**
         * LedgerMetadata
         * @description `dataPoints` counts the trades, costs and deals that the ledger shows or sums.
         */
        LedgerMetadata: {
            dataPoints: number;
            computedAt: number;
        };
        /**
         * LedgerParts
         * @description What the net consists of; USD.
         */
        LedgerParts: {
            trades: number;
            costs: number;
            revenue: number;
        };
        /**
         * @description Since the beginning, the month's, or the business day's.
         * @enum {string}
         */
        Period: "all" | "mtd" | "today";
        /**
         * Ping
         * @description Requests a pong.
         */
        Ping: {
            /** @enum {string} */
            type: "ping";
        };
        /**
         * PnLUpdate
         * @description A whole snapshot: the newest at a subscription, one that was missed, or the next.
         */
        PnLUpdate: {
            data: components["schemas"]["Snapshot"];
            /** @example 2026-02-25T22:24:00.000Z */
            timestamp: string;
            /** @enum {string} */
            source: "initial" | "replay" | "stream";
        };
        /**
         * Pong
         * @description The answer to a ping.
         */
        Pong: {
            /** @enum {string} */
            type: "pong";
            timestamp: number;
        };
        /**
         * Probe
         * @description `waitingFor` names what a node needs to be ready; the other fields are those of a node of a cluster only.
         */
        Probe: {
            status: "live" | ("draining" | "ready" | "starting" | "waiting");
            /**
             * @example [
             *       "redis",
             *       "postgresql",
             *       "updates"
             *     ]
             */
            waitingFor?: string[];
            /** @enum {string} */
            role?: "all" | "poll" | "push";
            leads?: boolean;
            lagUpdates?: number;
            lagMs?: number;
        };
        /**
         * RangeHistory
         * @description The rows of a range, oldest first.
         */
        RangeHistory: {
            count: number;
            /** @example 2026-02-25T22:24:00.000Z */
            timestamp: string;
            /**
             * @description Where `limit` asked for more than is answered at most.
             * @constant
             */
            limited?: true;
            /**
             * @description Why rows are marked as restated, oldest first.
             * @default []
             */
            restatements?: components["schemas"]["RestatementRow"][];
            data: components["schemas"]["HistoryRow"][];
        };
        /**
         * Reconciliation
         * @description The difference between the account and the ledger, and between stored sums and those of the sources; USD.
         */
        Reconciliation: {
            state: string;
            gap: number | null;
            asOf: string | null;
            differences: {
                [key: string]: number;
            };
        };
        /**
         * RefusedAck
         * @description The acknowledgement of an event that was refused: with an `error`, or as unknown (`unknown_event`).
         */
        RefusedAck: {
            message: string;
            /**
             * @example bad_payload
             * @example rate_limited
             */
            code: string;
            /**
             * @default false
             * @constant
             */
            ok?: false;
        };
        /**
         * @description What one row covers.
         * @enum {string}
         */
        Resolution: "raw" | "1m" | "5m" | "15m" | "1h" | "4h" | "1d" | "1w";
        /**
         * RestatementRow
         * @description History was found wrong: what was published up to `toSeq` stays as it is, and nothing is compared with it.
         */
        RestatementRow: {
            /** @example 2026-02-25T22:24:00.000Z */
            at: string;
            source: string;
            reason: string;
            toSeq: number;
        };
        /**
         * Since
         * @description The last update that a subscriber received.
         */
        Since: {
            epoch: string;
            seq: number;
        };
        /**
         * Snapshot
         * @description One published P&L. `(epoch, seq)` orders snapshots, `degraded` names sources that have given no reading yet.
         */
        Snapshot: {
            totalRevenue: number;
            totalExpenses: number;
            netPnL: number;
            grossMargin: number;
            dailyTrend: number;
            components: components["schemas"]["Components"];
            /** @example 2026-02-25T22:24:00.000Z */
            timestamp: string;
            calculatedAt: number;
            epoch: string;
            seq: number;
            degraded: string[];
            sources: components["schemas"]["Sources"];
            /**
             * @description The demo: the figures are those of a simulator.
             * @default false
             */
            simulated?: boolean;
            /**
             * @description False while the ledger could not be written.
             * @default true
             */
            stored?: boolean;
            /**
             * @description Only in answers for a period.
             * @enum {string}
             */
            period?: "all" | "mtd" | "today";
            /** @description The net P&L before rounding; absent where the ledger did not keep it. */
            exact?: components["schemas"]["Exact"];
            /**
             * @description Whether any source's figures are an estimate.
             * @default false
             */
            estimated?: boolean;
            /** @description Whether each configured source has given a reading of its whole history. Only such snapshots are used to compare. Absent in history of versions that did not record it. */
            complete?: boolean;
            /**
             * @description In history only: the snapshot was found wrong later, and is shown as it was published.
             * @constant
             */
            restated?: true;
            /**
             * @description In answers for a period: when it begins, or when the ledger does, if that is later.
             * @example 2026-02-25T22:24:00.000Z
             */
            since?: string;
            /**
             * @description Where the period began before the first complete snapshot.
             * @constant
             */
            partial?: true;
        };
        /**
         * SnapshotEvent
         * @description A snapshot as an event: the ledger's fields are at its top level too, for pages that do not read `data`.
         */
        SnapshotEvent: {
            /** @enum {string} */
            type: "snapshot";
            kalshiPnL: number;
            totalCosts: number;
            totalRevenue: number;
            netPnL: number;
            breakdown: components["schemas"]["LedgerParts"];
            components: components["schemas"]["LedgerCounts"];
            metadata: components["schemas"]["LedgerMetadata"];
            /** @description Sources that have given no reading yet: their figures are zeros. */
            degraded: string[];
            /** @description Whether any source's figures are an estimate. */
            estimated: boolean;
            /** @description Whether each configured source has given a reading of its whole history. Only such snapshots are used to compare. */
            complete: boolean;
            timestamp: number;
            epoch: string;
            seq: number;
            data: components["schemas"]["Ledger"];
        };
        /**
         * SnapshotHistory
         * @description Snapshots, oldest first: the answer to a request without a range.
         */
        SnapshotHistory: {
            count: number;
            /** @example 2026-02-25T22:24:00.000Z */
            timestamp: string;
            /**
             * @description Where `limit` asked for more than is answered at most.
             * @constant
             */
            limited?: true;
            /**
             * @description Why rows are marked as restated, oldest first.
             * @default []
             */
            restatements?: components["schemas"]["RestatementRow"][];
            data: components["schemas"]["Snapshot"][];
        };
        /**
         * SnapshotMessage
         * @description The whole ledger: first, every 60 s, and after any gap.
         */
        SnapshotMessage: {
            /** @enum {string} */
            type: "snapshot";
            data: components["schemas"]["Ledger"];
            timestamp: number;
        };
        /**
         * SourceCard
         * @description One source: its name and label, its circuit breaker's name, and the rows of its card.
         */
        SourceCard: {
            name: string;
            label: string;
            service: string;
            rows: components["schemas"]["CardRow"][];
        };
        /**
         * SourceList
         * @description Every source of this server, in the order of the snapshot's components.
         */
        SourceList: {
            sources: components["schemas"]["SourceCard"][];
        };
        /**
         * SourceState
         * @description The origin of a source's figures and their age (`ageMs`, ms).
         */
        SourceState: {
            /** @enum {string} */
            status: "degraded" | "live" | "stale";
            /** @enum {string} */
            tier: "fallback" | "live" | "memory" | "redis" | "sqlite";
            asOf: string | null;
            ageMs: number | null;
            error: string | null;
            /**
             * @description Computed from usage and prices, because the upstream's own figure is missing.
             * @default false
             */
            estimated?: boolean;
            /**
             * @description What an estimate lacks.
             * @default []
             */
            notes?: string[];
            /** @description Only while the source's history is read for the first time. */
            importing?: components["schemas"]["Importing"];
            /** @description Notes on the figures: account_changed while the upstream answers for another account (they are the last good ones), importing while history is read. Absent where there is none. */
            marks?: ("account_changed" | "importing")[];
            /** @description Only where figures are derived a second time. */
            verified?: components["schemas"]["Verified"];
        };
        /**
         * Sources
         * @description The state of each source, by its name.
         */
        Sources: {
            kalshi: components["schemas"]["SourceState"];
            anthropic: components["schemas"]["SourceState"];
            johns: components["schemas"]["SourceState"];
        };
        /**
         * StreamError
         * @description Updates have stopped; sent once.
         */
        StreamError: {
            message: string;
            /** @example 2026-02-25T22:24:00.000Z */
            timestamp: string;
        };
        /**
         * Subscribe
         * @description With `since`, every later update that is still stored is replayed.
         */
        Subscribe: {
            /** @default null */
            since?: components["schemas"]["Since"] | null;
        };
        /**
         * SubscribeAck
         * @description `seq` is the newest update; `recovered`: nothing between `since` and `seq` is missing.
         */
        SubscribeAck: {
            /** @constant */
            ok: true;
            epoch: string;
            seq: number;
            recovered: boolean;
        };
        /**
         * Subscriptions
         * @description The subscriptions of a client; it carries the offset where a change of them sends no update.
         */
        Subscriptions: {
            /**
             * @example [
             *       "pnl",
             *       "components",
             *       "dashboard"
             *     ]
             */
            topics: string[];
        };
        /**
         * Success
         * @description The envelope of an answer.
         */
        Success: {
            /** @constant */
            success: true;
            data: unknown;
            /** @example 2026-02-25T22:24:00.000Z */
            timestamp: string;
        };
        /**
         * Summary
         * @description The four sums; USD, and percent for the margin.
         */
        Summary: {
            totalRevenue: number;
            totalExpenses: number;
            netPnL: number;
            grossMargin: number;
        };
        /**
         * TierStats
         * @description One tier; `size` in keys, as last counted.
         */
        TierStats: {
            hits: number;
            misses: number;
            sets: number;
            deletes: number;
            errors: number;
            p50Ms: number;
            p99Ms: number;
            size: number | null;
            /** @enum {string} */
            status: "connected" | "disabled" | "down";
        };
        /** TiersStats */
        TiersStats: {
            memory: components["schemas"]["TierStats"];
            redis: components["schemas"]["TierStats"];
            sqlite: components["schemas"]["TierStats"];
            fallback: components["schemas"]["TierStats"];
        };
        /**
         * Trend
         * @description The totals at the end of a business day, today's at the time of the message; USD.
         */
        Trend: {
            /** @example 2026-02-25 */
            date: string;
            revenue: number;
            expenses: number;
            net: number;
            /**
             * @description Where the totals are not those of a complete snapshot.
             * @constant
             */
            complete?: false;
            /**
             * @description The totals were found wrong later, and are shown as they were published.
             * @constant
             */
            restated?: true;
        };
        /** UnsubscribeAck */
        UnsubscribeAck: {
            /** @constant */
            ok: true;
        };
        /**
         * Verified
         * @description Whether figures that were derived a second time agree; null where history does not reach back.
         */
        Verified: {
            /** @description The realized P&L, from fills and settlements alone. */
            realized: boolean | null;
            /** @description Cash and positions, from deposits. */
            equity: boolean | null;
            /**
             * @description The larger difference, as decimal text; USD.
             * @example 0.00
             */
            gap: string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type AgentEntry = components['schemas']['AgentEntry'];
export type AnthropicComponent = components['schemas']['AnthropicComponent'];
export type Auth = components['schemas']['Auth'];
export type Breakdown = components['schemas']['Breakdown'];
export type BreakerConfig = components['schemas']['BreakerConfig'];
export type BreakerReset = components['schemas']['BreakerReset'];
export type BreakerResetDone = components['schemas']['BreakerResetDone'];
export type BreakerServices = components['schemas']['BreakerServices'];
export type BreakerState = components['schemas']['BreakerState'];
export type Breakers = components['schemas']['Breakers'];
export type BriefCacheStats = components['schemas']['BriefCacheStats'];
export type BriefHealth = components['schemas']['BriefHealth'];
export type CacheCleared = components['schemas']['CacheCleared'];
export type CacheServices = components['schemas']['CacheServices'];
export type CacheStats = components['schemas']['CacheStats'];
export type CardRow = components['schemas']['CardRow'];
export type Cluster = components['schemas']['Cluster'];
export type ClusterNode = components['schemas']['ClusterNode'];
export type Components = components['schemas']['Components'];
export type ComponentsUpdate = components['schemas']['ComponentsUpdate'];
export type ConnectAuth = components['schemas']['ConnectAuth'];
export type ConnectError = components['schemas']['ConnectError'];
export type ConnectErrorData = components['schemas']['ConnectErrorData'];
export type ConnectSuccess = components['schemas']['ConnectSuccess'];
export type Connected = components['schemas']['Connected'];
export type CostEntry = components['schemas']['CostEntry'];
export type Counts = components['schemas']['Counts'];
export type DashboardMessage = components['schemas']['DashboardMessage'];
export type Deal = components['schemas']['Deal'];
export type DeltaEvent = components['schemas']['DeltaEvent'];
export type DeltaMessage = components['schemas']['DeltaMessage'];
export type ErrorDetail = components['schemas']['ErrorDetail'];
export type ErrorMessage = components['schemas']['ErrorMessage'];
export type Exact = components['schemas']['Exact'];
export type Failure = components['schemas']['Failure'];
export type FamilyStats = components['schemas']['FamilyStats'];
export type FeedError = components['schemas']['FeedError'];
export type Format = components['schemas']['Format'];
export type Health = components['schemas']['Health'];
export type HealthPart = components['schemas']['HealthPart'];
export type HealthServices = components['schemas']['HealthServices'];
export type HistoryRow = components['schemas']['HistoryRow'];
export type Importing = components['schemas']['Importing'];
export type JohnsComponent = components['schemas']['JohnsComponent'];
export type KalshiComponent = components['schemas']['KalshiComponent'];
export type Ledger = components['schemas']['Ledger'];
export type LedgerCounts = components['schemas']['LedgerCounts'];
export type LedgerDelta = components['schemas']['LedgerDelta'];
export type LedgerFigures = components['schemas']['LedgerFigures'];
export type LedgerMetadata = components['schemas']['LedgerMetadata'];
export type LedgerParts = components['schemas']['LedgerParts'];
export type Period = components['schemas']['Period'];
export type Ping = components['schemas']['Ping'];
export type PnLUpdate = components['schemas']['PnLUpdate'];
export type Pong = components['schemas']['Pong'];
export type Probe = components['schemas']['Probe'];
export type RangeHistory = components['schemas']['RangeHistory'];
export type Reconciliation = components['schemas']['Reconciliation'];
export type RefusedAck = components['schemas']['RefusedAck'];
export type Resolution = components['schemas']['Resolution'];
export type RestatementRow = components['schemas']['RestatementRow'];
export type Since = components['schemas']['Since'];
export type Snapshot = components['schemas']['Snapshot'];
export type SnapshotEvent = components['schemas']['SnapshotEvent'];
export type SnapshotHistory = components['schemas']['SnapshotHistory'];
export type SnapshotMessage = components['schemas']['SnapshotMessage'];
export type SourceCard = components['schemas']['SourceCard'];
export type SourceList = components['schemas']['SourceList'];
export type SourceState = components['schemas']['SourceState'];
export type Sources = components['schemas']['Sources'];
export type StreamError = components['schemas']['StreamError'];
export type Subscribe = components['schemas']['Subscribe'];
export type SubscribeAck = components['schemas']['SubscribeAck'];
export type Subscriptions = components['schemas']['Subscriptions'];
export type Success = components['schemas']['Success'];
export type Summary = components['schemas']['Summary'];
export type TierStats = components['schemas']['TierStats'];
export type TiersStats = components['schemas']['TiersStats'];
export type Trend = components['schemas']['Trend'];
export type UnsubscribeAck = components['schemas']['UnsubscribeAck'];
export type Verified = components['schemas']['Verified'];
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
