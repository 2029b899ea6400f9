// socket.io on Node.
const { createServer } = require("http");
const { Server } = require("socket.io");
const { options, port, serve } = require("./feed.js");

const http = createServer();
serve(new Server(http, options), process.hrtime.bigint);
http.listen({ port, host: "127.0.0.1", backlog: 4096 }, () => console.log(JSON.stringify({ port: http.address().port })));
