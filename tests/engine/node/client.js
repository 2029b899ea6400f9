// What the JavaScript client sees of a server, as JSON lines: one scenario after another, each on its own connection.
const { io } = require("socket.io-client");

const url = process.argv[2];
const wait = (socket, event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)));
const plain = (value) => JSON.parse(JSON.stringify(value, (key, each) => (each && each.type === "Buffer" ? "bytes:" + Buffer.from(each.data).toString("hex") : each)));

const scenarios = {
  connect: async (socket) => { await wait(socket, "connect"); return { id: typeof socket.id, recovered: socket.recovered }; },
  auth: async (socket) => wait(socket, "auth"),
  echo: async (socket) => { socket.emit("message", 1, "2", { 3: [true, null] }, "é€😀"); return wait(socket, "message-back"); },
  binary: async (socket) => { socket.emit("message", Buffer.from([1, 2, 3]), { deep: [Buffer.from([4])] }, Buffer.alloc(0)); return plain(await wait(socket, "message-back")); },
  ack: async (socket) => socket.emitWithAck("message-with-ack", 1, { a: [2] }),
  ackTimeout: async (socket) => { await wait(socket, "connect"); return socket.timeout(300).emitWithAck("nobody-listens").then(() => "answered", () => "timeout"); },
  binaryAck: async (socket) => plain(await socket.emitWithAck("message-with-ack", Buffer.from([9, 8]))),
  volatile: async (socket) => {
    await wait(socket, "connect");
    // Dropped whenever the transport is busy, so it is said until it was heard.
    const repeat = setInterval(() => socket.volatile.emit("message", "volatile"), 50);
    const got = await wait(socket, "message-back");
    clearInterval(repeat);
    return got;
  },
  order: async (socket) => {
    const got = [];
    const done = new Promise((resolve) => socket.on("number", (n) => { got.push(n); if (n === 199) resolve(); }));
    socket.emit("numbers", 200);
    await done;
    return got.every((n, index) => n === index) && got.length;
  },
  retries: async (socket) => {
    const id = "r" + Math.random();
    return new Promise((resolve) => socket.emit("unreliable", id, (error, tries) => resolve({ error, tries })));
  },
  retriesInOrder: async (socket) => Promise.all([1, 2, 3].map((n) => new Promise((resolve) => socket.emit("message-with-ack", n, (error, got) => resolve([error, got]))))),
  question: async (socket) => { socket.on("question", (n, ack) => ack(n + 41)); socket.emit("ask-me"); return wait(socket, "asked"); },
  kicked: async (socket) => { await wait(socket, "connect"); socket.emit("kick"); const [reason] = await wait(socket, "disconnect"); return { reason, active: socket.active }; },
  namespace: async (socket) => {
    const custom = socket.io.socket("/custom");
    custom.emit("message", "custom");
    const got = await wait(custom, "message-back");
    custom.disconnect();
    socket.emit("message", "still");
    return [got, await wait(socket, "message-back")];
  },
  connectAgain: async (socket) => {
    // The second CONNECT leaves before the first is answered; each is answered, and the other namespace goes on.
    await wait(socket, "connect");
    let lost = false;
    socket.once("disconnect", () => { lost = true; });
    const slow = socket.io.socket("/slow");
    slow.disconnect();
    slow.connect();
    let answers = 0;
    await new Promise((resolve) => slow.on("connect", () => { if (++answers === 2) resolve(); }));
    slow.emit("message", "again");
    const got = await wait(slow, "message-back");
    slow.disconnect();
    socket.emit("message", "still");
    return [got, await wait(socket, "message-back"), lost];
  },
  unknownNamespace: async (socket) => { const [error] = await wait(socket.io.socket("/nowhere"), "connect_error"); return error.message; },
  lockedNamespace: async (socket) => { const [error] = await wait(socket.io.socket("/locked"), "connect_error"); return error.message; },
  survivesPings: async (socket) => { await wait(socket, "connect"); let pings = 0; socket.io.on("ping", () => pings++); await new Promise((resolve) => setTimeout(resolve, 2000)); return { connected: socket.connected, pinged: pings >= 2 }; },
  tooBig: async (socket) => { await wait(socket, "connect"); socket.io.opts.reconnection = false; socket.io.reconnection(false); socket.emit("message", "x".repeat(20000)); await wait(socket, "disconnect"); return "disconnected"; },
};

const transports = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };
const limited = (promise) => Promise.race([promise, new Promise((resolve) => setTimeout(() => resolve("NOTHING CAME"), 20000))]);

async function main() {
  const runs = [];
  for (const [name, list] of Object.entries(transports))
    for (const [scenario, play] of Object.entries(scenarios))
      runs.push((async () => {
        const options = { transports: list, forceNew: true, auth: { token: "t" } };
        if (scenario.startsWith("retries")) Object.assign(options, { retries: 5, ackTimeout: 700 });
        const socket = io(url, options);
        const result = await limited(play(socket));
        const upgraded = name === "upgrade" && scenario === "survivesPings" ? socket.io.engine && socket.io.engine.transport.name : undefined;
        socket.disconnect();
        console.log(JSON.stringify({ run: name + "/" + scenario, result, upgraded }));
      })());
  await Promise.all(runs);
  process.exit(0);
}
main();
