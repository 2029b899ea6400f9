// socket.io on Bun, by its own engine.
const { dlopen, ptr } = require("bun:ffi");
const { Server: Engine } = require("@socket.io/bun-engine");
const { Server } = require("socket.io");
const { options, port, serve } = require("./feed.js");

// Bun's own clocks count from the start of the process.
const CLOCK_MONOTONIC = 1;
const { clock_gettime } = dlopen("libc.so.6", { clock_gettime: { args: ["int", "ptr"], returns: "int" } }).symbols;
const time = new BigInt64Array(2);
const now = () => {
  clock_gettime(CLOCK_MONOTONIC, ptr(time));
  return time[0] * 1000000000n + time[1];
};

const io = new Server();
const engine = new Engine({ path: "/socket.io/", ...options });
io.bind(engine);
serve(io, now);
const idleTimeout = Math.min(255, Math.ceil(options.pingInterval / 1000) + 5); // s; must be above the ping interval
const server = Bun.serve({ port, hostname: "127.0.0.1", ...engine.handler(), idleTimeout });
console.log(JSON.stringify({ port: server.port }));
