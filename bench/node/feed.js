// The feed that Node and Bun serve: one room, one message of the same size to everyone in it.
const { readFileSync } = require("fs");

const sample = JSON.parse(readFileSync(process.env.SAMPLE, "utf8"));

exports.options = { maxHttpBufferSize: 16384, pingInterval: Number(process.env.PING_INTERVAL_MS || 25000) };
exports.port = Number(process.env.PORT || 0);

// `now` is CLOCK_MONOTONIC in ns, which the load client reads too.
exports.serve = (io, now) => {
  const update = (source) => ({ ...sample, source, t: Number(now()) });
  io.use((socket, next) =>
    socket.handshake.auth.apiKey === process.env.API_KEY ? next() : next(new Error("Invalid or missing API key")));
  io.on("connection", (socket) => {
    socket.emit("connect_success", { clientId: socket.id, transport: socket.conn.transport.name });
    socket.on("subscribe_pnl", () => {
      socket.join("pnl");
      socket.emit("pnl_update", update("initial"));
    });
  });
  setInterval(() => io.to("pnl").emit("pnl_update", update("stream")), Number(process.env.UPDATE_INTERVAL_MS || 1000));
};
