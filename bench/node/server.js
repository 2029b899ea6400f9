// The same feed from socket.io on Node: one room, one message of the same size to everyone in it.
const { createServer } = require("http");
const { readFileSync } = require("fs");
const { Server } = require("socket.io");

const sample = JSON.parse(readFileSync(process.env.SAMPLE, "utf8"));
const interval = Number(process.env.UPDATE_INTERVAL_MS || 1000);
const http = createServer();
const io = new Server(http, { maxHttpBufferSize: 16384, pingInterval: Number(process.env.PING_INTERVAL_MS || 25000) });
const update = (source) => ({ ...sample, source, t: Number(process.hrtime.bigint()) });

io.use((socket, next) =>
  socket.handshake.auth.apiKey === process.env.API_KEY ? next() : next(new Error("Invalid or missing API key")));
io.on("connection", (socket) => {
  socket.emit("connect_success", { clientId: socket.id, transport: socket.conn.transport.name });
  socket.on("subscribe_pnl", () => {
    socket.join("pnl");
    socket.emit("pnl_update", update("initial"));
  });
});
setInterval(() => io.to("pnl").emit("pnl_update", update("stream")), interval);
http.listen({ port: Number(process.env.PORT || 0), host: "127.0.0.1", backlog: 4096 }, () => console.log(JSON.stringify({ port: http.address().port })));
