// The Node server with the handlers that the Python side has too: see test_side_by_side.py.
const { createServer } = require("http");
const { Server } = require("socket.io");

const http = createServer();
const io = new Server(http, { pingInterval: 300, pingTimeout: 20000, maxHttpBufferSize: 16384 });
const attempts = new Map();

io.on("connection", (socket) => {
  socket.emit("auth", socket.handshake.auth);
  socket.on("message", (...args) => socket.emit("message-back", ...args));
  socket.on("message-with-ack", (...args) => args.pop()(...args.slice(0)));
  socket.on("numbers", (count) => { for (let n = 0; n < count; n++) socket.emit("number", n); });
  socket.on("unreliable", (id, ack) => {
    attempts.set(id, (attempts.get(id) || 0) + 1);
    if (attempts.get(id) >= 3) ack(attempts.get(id));
  });
  socket.on("ask-me", async () => socket.emit("asked", await socket.timeout(2000).emitWithAck("question", 1)));
  socket.on("kick", () => socket.disconnect());
});
io.of("/custom").on("connection", (socket) => socket.on("message", (...args) => socket.emit("message-back", ...args)));
const slow = io.of("/slow").use((socket, next) => setTimeout(next, 300));
slow.on("connection", (socket) => socket.on("message", (...args) => socket.emit("message-back", ...args)));
io.of("/locked").use((socket, next) => next(new Error("Locked")));

http.listen(0, "127.0.0.1", () => console.log(http.address().port));
