/* loadclient.c - lean epoll load client for Engine.IO v4 / Socket.IO v5 over raw WebSocket.
 *
 *   gcc -O2 -o loadclient loadclient.c
 *   taskset -c 1 ./loadclient --port 9000 --n 2000 --broadcasts 20
 *
 * Opens N WebSocket connections to 127.0.0.1, does the Socket.IO handshake by hand, emits the
 * subscribe event, and counts `42["<event>"` messages.  The FIRST one on each connection is the
 * "initial" message (it makes the connection READY); message k after it belongs to broadcast k.
 * If the message holds "t":<CLOCK_MONOTONIC ns>, the latency emit->arrival is recorded.
 *
 * Prints one JSON line {"ev":"ready",...} when all N are ready, and one {"ev":"done",...} when
 * every connection has seen --broadcasts messages (or after --timeout seconds from ready). With --skip, one
 * {"ev":"warm",...} line comes when everybody has had the warm-up broadcasts.
 * Options: --port P[,P...] (the connections are spread over several servers), --skip K (leave the first K broadcasts out of the latencies: warm-up), --window (handshakes in flight), --spin (never sleep: see below), --path, --event, --sub, --apikey, --deflate (offer
 * permessage-deflate like a browser; compressed frames are counted by order, not inflated).
 * On loopback the server's send wakes a client that sleeps, and pays for it: a fifth of its kernel time or more, the more
 * the better the client keeps up. With --spin nobody has to be woken, as where clients are on other machines.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ST_CONNECTING, ST_HTTP, ST_EIO_OPEN, ST_SIO_CONNECT, ST_SUBSCRIBING, ST_READY, ST_DEAD };
typedef struct { int fd; int st; int skipped; uint32_t nmsg; uint32_t plen; uint32_t pcap; unsigned char *part; } Conn;

static int ports[64] = {9000}, nports = 1, n = 100, broadcasts = 20, skip = 0, window = 64, use_deflate = 0, spin = 0;
static double timeout_s = 60;
static const char *path = "/socket.io/?EIO=4&transport=websocket", *event = "pnl_update",
                  *sub = "subscribe_pnl", *apikey = "k";
static Conn *conns;
static int ep, started, inflight, ready, dead, errors, completed;
static uint64_t *first_at, *last_at, *sent_at, *cnt, *lat;
static uint64_t nlat, nmsgs, nbytes, npings, ninitial;
static char prefix[128]; static int prefix_len;

static int port_of(const Conn *c) { return ports[(c - conns) % nports]; }
static inline uint64_t now_ns(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000ull + t.tv_nsec; }
static void fail(Conn *c, const char *why) {
  if (c->st == ST_DEAD) return;
  if (errors++ < 5) fprintf(stderr, "conn %ld state %d: %s (errno %d)\n", (long)(c - conns), c->st, why, errno);
  if (c->st < ST_READY) inflight--; else ready--;
  close(c->fd); c->st = ST_DEAD; dead++;
}
static void send_text(Conn *c, const char *s) { /* masked with an all-zero key: legal and cheap */
  unsigned char b[512]; size_t l = strlen(s), h;
  b[0] = 0x81;
  if (l < 126) { b[1] = 0x80 | l; h = 2; } else { b[1] = 0x80 | 126; b[2] = l >> 8; b[3] = l & 255; h = 4; }
  memset(b + h, 0, 4); memcpy(b + h + 4, s, l);
  if (send(c->fd, b, h + 4 + l, MSG_NOSIGNAL) != (ssize_t)(h + 4 + l)) fail(c, "short send");
}
static void open_one(void) {
  Conn *c = &conns[started++]; inflight++;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c->fd < 0) { perror("socket"); exit(1); }
  int one = 1; setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port_of(c)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  c->st = ST_CONNECTING;
  struct epoll_event e = { .events = EPOLLOUT, .data.ptr = c };
  int r = connect(c->fd, (struct sockaddr *)&a, sizeof a);
  if (r < 0 && errno != EINPROGRESS) { fail(c, "connect"); return; }
  epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e);
}
static void on_pnl(Conn *c, const unsigned char *p, size_t l, uint64_t at) {
  uint32_t k = c->nmsg++;
  if (k == 0) { c->st = ST_READY; ready++; inflight--; ninitial++; return; }
  nmsgs++; k--;
  if (k >= (uint32_t)broadcasts) return;
  if (!cnt[k]++) first_at[k] = at;
  last_at[k] = at;
  const unsigned char *q = l > 4 ? memmem(p, l, "\"t\":", 4) : NULL;
  if (q) { uint64_t t = strtoull((const char *)q + 4, NULL, 10); sent_at[k] = t; if (k >= (uint32_t)skip) lat[nlat++] = at > t ? at - t : 0; }
  if (k + 1 == (uint32_t)broadcasts) completed++;
}
static void on_text(Conn *c, const unsigned char *p, size_t l, uint64_t at) {
  if (!l) return;
  if (p[0] == '2') { npings++; send_text(c, "3"); return; }
  if (p[0] == '0' && c->st == ST_EIO_OPEN) {
    char b[256]; snprintf(b, sizeof b, "40{\"apiKey\":\"%s\"}", apikey); c->st = ST_SIO_CONNECT; send_text(c, b); return;
  }
  if (l >= 2 && p[0] == '4' && p[1] == '0' && c->st == ST_SIO_CONNECT) {
    char b[256]; snprintf(b, sizeof b, "42[\"%s\"]", sub); c->st = ST_SUBSCRIBING; send_text(c, b); return;
  }
  if (l >= 2 && p[0] == '4' && p[1] == '4') { fail(c, "connect_error"); return; }
  if (l > (size_t)prefix_len && !memcmp(p, prefix, prefix_len)) on_pnl(c, p, l, at);
}
/* consume complete frames, return bytes consumed */
static size_t feed(Conn *c, unsigned char *b, size_t l, uint64_t at) {
  size_t o = 0;
  if (c->st == ST_HTTP) {
    unsigned char *e = memmem(b, l, "\r\n\r\n", 4);
    if (!e) return 0;
    if (l < 12 || memcmp(b + 9, "101", 3)) { fail(c, "not 101"); return l; }
    o = e + 4 - b; c->st = ST_EIO_OPEN;
  }
  while (l - o >= 2 && c->st != ST_DEAD) {
    size_t pl = b[o + 1] & 127, h = 2; int op = b[o] & 15;
    if (pl == 126) { if (l - o < 4) break; pl = b[o + 2] << 8 | b[o + 3]; h = 4; }
    else if (pl == 127) { if (l - o < 10) break; pl = 0; for (int i = 0; i < 8; i++) pl = pl << 8 | b[o + 2 + i]; h = 10; }
    if (l - o < h + pl) break;
    if (op == 8) { fail(c, "server sent close"); return l; }
    if (op == 1) {
      if (b[o] & 0x40) { /* compressed: go by order; one frame (connect_success or 40) precedes the first pnl_update */
        if (c->st == ST_EIO_OPEN) on_text(c, (unsigned char *)"0", 1, at);
        else if (c->st == ST_SIO_CONNECT) on_text(c, (unsigned char *)"40", 2, at);
        else if (c->skipped) on_pnl(c, b + o + h, 0, at);
        else c->skipped = 1;
      } else on_text(c, b + o + h, pl, at);
    }
    o += h + pl;
  }
  return o;
}
static void on_readable(Conn *c) {
  static unsigned char buf[1 << 17];
  size_t have = c->plen;
  if (have) memcpy(buf, c->part, have);
  ssize_t r = recv(c->fd, buf + have, sizeof buf - have, 0);
  if (r <= 0) { if (r < 0 && (errno == EAGAIN || errno == EINTR)) return; fail(c, r ? "recv" : "eof"); return; }
  uint64_t at = now_ns(); nbytes += r; have += r;
  size_t used = feed(c, buf, have, at), left = have - used;
  if (left) { if (left > c->pcap) { c->part = realloc(c->part, left); c->pcap = left; } memcpy(c->part, buf + used, left); }
  c->plen = left;
}
static void on_event(Conn *c, uint32_t ev) {
  if (c->st == ST_DEAD) return;
  if (c->st == ST_CONNECTING) {
    int err = 0; socklen_t sl = sizeof err; getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &sl);
    if (err) { errno = err; fail(c, "connect"); return; }
    char req[512]; int l = snprintf(req, sizeof req,
      "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n", path, port_of(c),
      use_deflate ? "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" : "");
    c->st = ST_HTTP;
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = c }; epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
    if (send(c->fd, req, l, MSG_NOSIGNAL) != l) fail(c, "send req");
    return;
  }
  if (ev & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_readable(c);
}
static int cmp64(const void *a, const void *b) { uint64_t x = *(uint64_t *)a, y = *(uint64_t *)b; return x < y ? -1 : x > y; }
static double cpu_s(void) { struct rusage r; getrusage(RUSAGE_SELF, &r); return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6; }

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
#define OPT(s) (!strcmp(argv[i], s) && i + 1 < argc)
    if (OPT("--port")) { nports = 0; for (char *p = strtok(argv[++i], ","); p && nports < 64; p = strtok(NULL, ",")) ports[nports++] = atoi(p); }
    else if (OPT("--n")) n = atoi(argv[++i]);
    else if (OPT("--broadcasts")) broadcasts = atoi(argv[++i]); else if (OPT("--window")) window = atoi(argv[++i]);
    else if (OPT("--skip")) skip = atoi(argv[++i]);
    else if (OPT("--timeout")) timeout_s = atof(argv[++i]); else if (OPT("--path")) path = argv[++i];
    else if (OPT("--event")) event = argv[++i]; else if (OPT("--sub")) sub = argv[++i];
    else if (OPT("--apikey")) apikey = argv[++i]; else if (!strcmp(argv[i], "--deflate")) use_deflate = 1;
    else if (!strcmp(argv[i], "--spin")) spin = 1;
    else { fprintf(stderr, "unknown option %s\n", argv[i]); return 2; }
  }
  if (broadcasts < 1) broadcasts = 1;
  prefix_len = snprintf(prefix, sizeof prefix, "42[\"%s\"", event);
  conns = calloc(n, sizeof *conns);
  first_at = calloc(broadcasts, 8); last_at = calloc(broadcasts, 8); sent_at = calloc(broadcasts, 8); cnt = calloc(broadcasts, 8);
  lat = malloc(8ull * n * broadcasts); memset(lat, 1, 8ull * n * broadcasts); /* pre-fault */
  ep = epoll_create1(0);
  struct epoll_event evs[512];
  uint64_t t0 = now_ns(), tr = 0;  double cpu0 = cpu_s(), cpur = 0;
  int reported = 0, warmed = 0;
  for (;;) {
    while (started < n && inflight < window) open_one();
    int k = epoll_wait(ep, evs, 512, spin ? 0 : 100);
    for (int i = 0; i < k; i++) on_event(evs[i].data.ptr, evs[i].events);
    uint64_t t = now_ns();
    if (!reported && started == n && inflight == 0) {
      reported = 1; tr = t; cpur = cpu_s();
      printf("{\"ev\":\"ready\",\"n\":%d,\"ready\":%d,\"dead\":%d,\"seconds\":%.4f,\"conn_per_s\":%.1f,\"client_cpu_s\":%.3f}\n",
             n, ready, dead, (t - t0) / 1e9, ready / ((t - t0) / 1e9), cpur - cpu0); fflush(stdout);
    }
    if (!reported && t - t0 > 120e9) { fprintf(stderr, "connect phase timed out: ready %d dead %d\n", ready, dead); return 1; }
    if (reported && !warmed && skip && cnt[skip - 1] >= (uint64_t)ready) {
      warmed = 1; printf("{\"ev\":\"warm\",\"msgs\":%lu}\n", nmsgs); fflush(stdout);
    }
    if (reported && (completed >= ready || t - tr > timeout_s * 1e9)) break;
  }
  qsort(lat, nlat, 8, cmp64);
#define PCT(p) (nlat ? lat[(uint64_t)((nlat - 1) * (p))] / 1e6 : -1.0)
  printf("{\"ev\":\"done\",\"msgs\":%lu,\"expected\":%lu,\"bytes\":%lu,\"pings\":%lu,\"dead\":%d,\"client_cpu_s\":%.3f,"
         "\"lat_ms\":{\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"max\":%.3f},\"last_ms\":[",
         nmsgs, (uint64_t)ready * broadcasts, nbytes, npings, dead, cpu_s() - cpur, PCT(.5), PCT(.9), PCT(.99), PCT(1.0));
  for (int i = skip; i < broadcasts; i++) printf("%s%.3f", i > skip ? "," : "", sent_at[i] ? (last_at[i] - sent_at[i]) / 1e6 : (last_at[i] - first_at[i]) / 1e6);
  printf("],\"counts_ok\":"); int ok = 1; for (int i = 0; i < broadcasts; i++) ok &= cnt[i] == (uint64_t)ready; printf("%s}\n", ok ? "true" : "false");
  return 0;
}
