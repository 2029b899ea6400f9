/** For operators: the connection, breakers with their reset, cache tiers, clients. */

import { useState, type ReactElement, type ReactNode } from 'react';
import { type BreakerState, usePnLStore } from 'pnl-client';
import { AdminKey } from '../components/AdminKey';
import { Boundary } from '../components/Boundary';
import { duration } from '../lib/format';
import { useFormatter } from '../lib/preferences';
import { useBusinessZone } from '../lib/useBusinessZone';
import { breakerWord, serviceWord, TRANSPORT_WORDS } from '../lib/words';

export function System(): ReactElement {
  return (
    <>
      <h1 className="page-title">System</h1>
      <div className="stack">
        <div className="columns">
          <Boundary name="This connection">
            <ThisConnection />
          </Boundary>
          <Boundary name="The server">
            <Server />
          </Boundary>
        </div>
        <Boundary name="The list of nodes">
          <Nodes />
        </Boundary>
        <Boundary name="The list of breakers">
          <Breakers />
        </Boundary>
        <Boundary name="The list of cache tiers">
          <Cache />
        </Boundary>
        <Boundary name="The list of parts">
          <Parts />
        </Boundary>
      </div>
    </>
  );
}

function ThisConnection(): ReactElement {
  const format = useFormatter();
  const transport = usePnLStore((state) => state.transport);
  const latencyMs = usePnLStore((state) => state.latencyMs);
  const pnl = usePnLStore((state) => state.pnl);
  const gaps = usePnLStore((state) => state.gaps);
  return (
    <Card id="connection" title="This connection">
      <Pairs
        of={[
          ['Transport', TRANSPORT_WORDS[transport]],
          ['Round trip', latencyMs === null ? '—' : `${format.decimal(latencyMs, 1)} ms`],
          ['Last snapshot', pnl.calculatedAt === null ? '—' : format.dateTime(pnl.calculatedAt)],
          ['Sequence', pnl.epoch === '' ? '—' : `${pnl.epoch}-${pnl.seq}`],
          ['Stored on disk', pnl.calculatedAt === null ? '—' : pnl.stored === false ? 'Not yet' : 'Yes'],
          ['Unrecovered stretches', format.integer(gaps.length)],
        ]}
      />
    </Card>
  );
}

function Server(): ReactElement {
  const format = useFormatter();
  const { health, api, readAt, reconciliation } = usePnLStore((state) => state.system);
  const { zone, stated } = useBusinessZone();
  const interval = usePnLStore((state) => state.server?.updateIntervalMs ?? null);
  const cache = health?.services.cache;
  return (
    <Card id="server" title="Server">
      <Pairs
        of={[
          ['Health', health === null ? '—' : [health.status, ...(health.degraded?.length ? ['degraded'] : [])].join(', ')],
          ['Environment', health?.environment ?? '—'],
          ['Up for', api?.uptime === undefined ? '—' : duration(api.uptime * 1_000)],
          ['Connected clients', api === null ? '—' : format.integer(api.connectedClients)],
          ['Redis', cache?.redis ?? '—'],
          ['SQLite', cache?.sqlite ?? '—'],
          ['Aggregator', health?.services.aggregator ?? '—'],
          ['Reconciliation gap', reconciliation === null ? 'not known yet' : format.signedMoney(reconciliation)],
          ['Business days in', stated ? zone.replaceAll('_', ' ') : '—'],
          ['Update every', interval === null ? '—' : `${format.decimal(interval / 1_000, interval % 1_000 === 0 ? 0 : 2)} s`],
          ['Read at', readAt === null ? '—' : format.time(readAt)],
        ]}
      />
    </Card>
  );
}

/** The nodes of a cluster; nothing where the server is alone. */
export function Nodes(): ReactElement | null {
  const format = useFormatter();
  const cluster = usePnLStore((state) => state.system.health?.cluster);
  if (cluster === undefined) return null;
  return (
    <Card id="nodes" title="Nodes">
      <Wide of="nodes">
        <table className="table is-worded">
          <thead>
            <tr>
              <th scope="col">Node</th>
              <th scope="col">Role</th>
              <th scope="col">State</th>
              <th scope="col">Last update</th>
              <th scope="col">Behind for</th>
              <th scope="col">Clients</th>
              <th scope="col">Since</th>
              <th scope="col">Version</th>
            </tr>
          </thead>
          <tbody>
            {cluster.nodes.map((node) => (
              <tr key={node.id} data-node={node.id}>
                <th scope="row">{node.id}</th>
                <td>{node.role}</td>
                <td>
                  <span className={`pill is-${node.leads ? 'gain' : node.state === 'no bus' ? 'warn' : 'quiet'}`}>{node.state}</span>
                </td>
                <td>{format.integer(node.seq)}</td>
                <td>{node.lagMs === 0 ? '—' : duration(node.lagMs)}</td>
                <td>{format.integer(node.clients)}</td>
                <td>{format.dateTime(Date.parse(node.since))}</td>
                <td>{node.version}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Wide>
      <p className="foot-note">
        This page is served by {cluster.node}
        {cluster.leader === null && '; no node leads at present'}
        {cluster.bus === 'down' && '; it cannot reach the Redis of the cluster'}
        {cluster.lagUpdates > 0 && `; it is ${format.integer(cluster.lagUpdates)} updates behind`}.
      </p>
    </Card>
  );
}

/** States that are neither good nor bad. */
const QUIET: ReadonlySet<string> = new Set(['disabled', 'unknown', 'starting']);

/** Each part of the server as it describes itself. */
function Parts(): ReactElement | null {
  const format = useFormatter();
  const parts = Object.entries(usePnLStore((state) => state.system.health?.parts) ?? {});
  if (parts.length === 0) return null;
  return (
    <Card id="parts" title="Parts">
      <Wide of="parts">
        <table className="table is-worded">
          <thead>
            <tr>
              <th scope="col">Part</th>
              <th scope="col">State</th>
              <th scope="col">Since</th>
            </tr>
          </thead>
          <tbody>
            {parts.map(([name, { state, ok, since, detail }]) => (
              <tr key={name}>
                <th scope="row">{serviceWord(name)}</th>
                <td>
                  <span className={`pill is-${ok ? (QUIET.has(state) ? 'quiet' : 'gain') : 'warn'}`}>{state}</span> {detail && <span className="soft detail">{detail}</span>}
                </td>
                <td>{format.dateTime(Date.parse(since))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Wide>
    </Card>
  );
}

function Breakers(): ReactElement {
  const breakers = usePnLStore((state) => state.system.breakers);
  const [resetting, setResetting] = useState<string | null | undefined>(undefined);
  const services = Object.entries(breakers?.services ?? {});
  return (
    <Card
      id="breakers"
      title="Circuit breakers"
      tools={
        <button type="button" className="button" disabled={services.length === 0} onClick={() => setResetting(null)}>
          Reset all
        </button>
      }
    >
      <Wide of="breakers">
        <table className="table is-worded">
          <thead>
            <tr>
              <th scope="col">Service</th>
              <th scope="col">State</th>
              <th scope="col">Failures</th>
              <th scope="col">Last success</th>
              <th scope="col">Last failure</th>
              <th scope="col">Next attempt</th>
              <th scope="col">
                <span className="hidden">Reset</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {services.map(([service, breaker]) => (
              <BreakerRow key={service} service={service} breaker={breaker} onReset={() => setResetting(service)} />
            ))}
          </tbody>
        </table>
      </Wide>
      {breakers !== null && (
        <p className="foot-note">
          A breaker opens after {breakers.config.failureThreshold} failures and tries again after {duration(breakers.config.resetTimeout)}.
        </p>
      )}
      {resetting !== undefined && <AdminKey service={resetting} onClose={() => setResetting(undefined)} />}
    </Card>
  );
}

const TIER_WORDS: Record<string, string> = { memory: 'Memory', redis: 'Redis', sqlite: 'SQLite', fallback: 'Fallback' };
const BREAKER_TONES: Record<BreakerState['state'], string> = { CLOSED: 'gain', HALF_OPEN: 'warn', OPEN: 'loss' };

function BreakerRow({ service, breaker, onReset }: { service: string; breaker: BreakerState; onReset: () => void }): ReactElement {
  const format = useFormatter();
  const at = (time: number | null): string => (time === null ? '—' : format.time(time));
  return (
    <tr data-breaker={service}>
      <th scope="row">{serviceWord(service)}</th>
      <td>
        <span className={`pill is-${BREAKER_TONES[breaker.state]}`}>{breakerWord(breaker.state)}</span>
      </td>
      <td>{format.integer(breaker.failureCount)}</td>
      <td>{at(breaker.lastSuccessTime)}</td>
      <td>{at(breaker.lastFailureTime)}</td>
      <td>{at(breaker.nextAttemptTime)}</td>
      <td>
        <button type="button" className="button" onClick={onReset} aria-label={`Reset the breaker of ${serviceWord(service)}`}>
          Reset
        </button>
      </td>
    </tr>
  );
}

function Cache(): ReactElement {
  const format = useFormatter();
  const cache = usePnLStore((state) => state.system.cache);
  const number = (value: number | null | undefined): string => (value == null ? '—' : format.integer(value));
  const ms = (value: number | null | undefined): string => (value == null ? '—' : `${format.decimal(value, 2)} ms`);
  return (
    <Card id="cache" title="Cache tiers" tools={cache && <span className="soft">{cache.hitRate} hits</span>}>
      <Wide of="cache">
        <table className="table">
          <thead>
            <tr>
              <th scope="col">Tier</th>
              <th scope="col">Hits</th>
              <th scope="col">Misses</th>
              <th scope="col">Entries</th>
              <th scope="col">Median</th>
              <th scope="col">99th percentile</th>
            </tr>
          </thead>
          <tbody>
            {Object.entries(cache?.tiers ?? {}).map(([tier, { hits = 0, misses = 0, size, p50Ms, p99Ms }]) => (
              <tr key={tier}>
                <th scope="row">{TIER_WORDS[tier] ?? tier}</th>
                <td>{number(hits)}</td>
                <td>{number(misses)}</td>
                <td>{number(size)}</td>
                <td>{ms(hits + misses > 0 ? p50Ms : null)}</td>
                <td>{ms(hits + misses > 0 ? p99Ms : null)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Wide>
    </Card>
  );
}

/** A table that may be wider than the screen: it can be scrolled from the keyboard, too. `of` is its card's id. */
function Wide({ of, children }: { of: string; children: ReactNode }): ReactElement {
  return (
    <div className="scroll-x" role="group" aria-labelledby={of} tabIndex={0}>
      {children}
    </div>
  );
}

function Card({ id, title, tools, children }: { id: string; title: string; tools?: ReactNode; children: ReactNode }): ReactElement {
  return (
    <section className="card" aria-labelledby={id}>
      <div className="card-head">
        <h2 id={id}>{title}</h2>
        {tools}
      </div>
      {children}
    </section>
  );
}

function Pairs({ of }: { of: readonly (readonly [string, string])[] }): ReactElement {
  return (
    <dl className="pairs">
      {of.map(([label, value]) => (
        <div key={label} className="pair">
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
