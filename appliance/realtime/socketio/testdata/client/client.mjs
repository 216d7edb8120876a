// Drives the Go server with the stock client. Usage: node client.mjs URL
// Prints one JSON line for each scenario: {"name": …, "error": … or null}.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { io, Manager } from "socket.io-client";

const url = process.argv[2];
const headers = (token) => ({ Authorization: `Bearer ${token}` });

const open = (transports, namespace = "", options = {}) =>
  io(url + namespace, {
    transports,
    forceNew: true,
    reconnectionDelay: 20,
    reconnectionDelayMax: 50,
    extraHeaders: headers("ann"),
    ...options,
  });

const once = (emitter, event) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no "${event}" within 5 s`)), 5000);
    emitter.once(event, (...args) => {
      clearTimeout(timer);
      resolve(args);
    });
  });

const connected = async (transports, ...rest) => {
  const socket = open(transports, ...rest);
  await once(socket, "connect");
  return socket;
};

const upgraded = async (socket) => {
  const { engine } = socket.io;
  while (engine.transport.name !== "websocket") await sleep(5);
};

const perTransport = {
  async "events and acknowledgements"(transports) {
    const socket = await connected(transports);
    socket.emit("message", 1, "two", { three: [null, true, "ü\u2028"] });
    assert.deepEqual(await once(socket, "message-back"), [1, "two", { three: [null, true, "ü\u2028"] }]);
    assert.equal(await socket.emitWithAck("message-with-ack", "x"), "x");
    await assert.rejects(socket.timeout(50).emitWithAck("nobody answers"), /timed out/);
    return socket;
  },

  async "server asks the client"(transports) {
    const socket = await connected(transports);
    socket.on("question", (number, answer) => answer(number + 1, Buffer.from([number])));
    const [sum, data] = await socket.emitWithAck("ask me", 41, 5000);
    assert.equal(sum, 42);
    assert.deepEqual([...new Uint8Array(data)], [41]);
    socket.off("question").on("question", () => {});
    assert.equal(await socket.emitWithAck("ask me", 1, 50), "context deadline exceeded");
    return socket;
  },

  async "binary both ways"(transports) {
    const socket = await connected(transports);
    const large = Buffer.alloc(300_000, 7);
    socket.emit("message", large, { nested: [Buffer.from([1, 2]), new Uint8Array([3])] }, Buffer.alloc(0));
    const [back, object, empty] = await once(socket, "message-back");
    assert.ok(large.equals(Buffer.from(back)));
    assert.deepEqual(object.nested.map((b) => [...Buffer.from(b)]), [[1, 2], [3]]);
    assert.equal(Buffer.from(empty).length, 0);
    const acked = await socket.emitWithAck("message-with-ack", Buffer.from([9, 8]));
    assert.deepEqual([...Buffer.from(acked)], [9, 8]);
    return socket;
  },

  async "1,000 events in order"(transports) {
    const socket = await connected(transports);
    const got = [];
    const all = new Promise((resolve) => {
      socket.on("message-back", (i) => got.push(i) === 1000 && resolve());
    });
    for (let i = 0; i < 1000; i++) {
      socket.emit("message", i);
      if (i % 100 === 0) await sleep(1); // spread over the upgrade, where there is one
    }
    await all;
    assert.deepEqual(got, Array.from({ length: 1000 }, (_, i) => i));
    return socket;
  },

  async "namespaces on one connection"(transports) {
    const manager = new Manager(url, { transports, forceNew: true, extraHeaders: headers("ann") });
    const main = manager.socket("/");
    const custom = manager.socket("/custom", { auth: { token: "abc" } });
    const [auth] = await once(custom, "auth");
    assert.deepEqual(auth, { token: "abc" });
    assert.notEqual(main.id, custom.id);
    assert.equal(await custom.emitWithAck("message-with-ack", "custom"), "custom");
    custom.disconnect();
    assert.equal(await main.emitWithAck("message-with-ack", "main"), "main");
    const [error] = await once(manager.socket("/random"), "connect_error");
    assert.equal(error.message, "Invalid namespace");
    return main;
  },

  async "refused by the hook"(transports) {
    const socket = open(transports, "/private", { auth: { token: "wrong" } });
    const [error] = await once(socket, "connect_error");
    assert.equal(error.message, "the token is wrong");
    assert.deepEqual(error.data, { hint: "ask for another" });
    assert.equal(socket.active, false);
    socket.auth = { token: "right" };
    socket.connect();
    await once(socket, "connect");
    return socket;
  },

  async "refused by the session"(transports) {
    const socket = open(transports, "", { extraHeaders: headers("revoked"), reconnection: false });
    const [error] = await once(socket, "connect_error");
    const status = error.context?.status ?? /\b(\d{3})\b/.exec(error.description?.message)?.[1];
    assert.equal(Number(status), 403);
    return socket;
  },

  async "refused without an origin or a token"(transports) {
    const socket = open(transports, "", { extraHeaders: {}, reconnection: false });
    await once(socket, "connect_error");
    return socket;
  },

  async "reconnects after the server closed"(transports) {
    const socket = await connected(transports);
    if (transports.length > 1) await upgraded(socket);
    const { id } = socket;
    const gone = once(socket, "disconnect");
    const back = once(socket, "connect");
    socket.emit("drop me");
    assert.match((await gone)[0], /^transport (close|error)$/);
    await back;
    assert.notEqual(socket.id, id);
    assert.equal(await socket.emitWithAck("message-with-ack", "again"), "again");
    return socket;
  },

  async "stays away when disconnected"(transports) {
    const socket = await connected(transports);
    const gone = once(socket, "disconnect");
    socket.emit("revoke me");
    assert.equal((await gone)[0], "io server disconnect");
    await sleep(100);
    assert.equal(socket.connected, false);
    return socket;
  },

  async "lives by the heartbeat"(transports) {
    const socket = await connected(transports);
    let pings = 0;
    socket.io.on("ping", () => pings++);
    await sleep(700);
    assert.ok(pings >= 2, `${pings} pings`);
    assert.equal(socket.connected, true);
    return socket;
  },

  async "rooms"(transports) {
    const [inside, outside] = await Promise.all([connected(transports), connected(transports)]);
    const heard = [];
    for (const [who, socket] of Object.entries({ inside, outside })) socket.on("news", (what) => heard.push([who, what]));
    await inside.emitWithAck("join", "room");
    await outside.emitWithAck("tell", "room", "hello");
    await inside.emitWithAck("message-with-ack");
    await outside.emitWithAck("message-with-ack");
    assert.deepEqual(heard, [["inside", "hello"]]);
    outside.disconnect();
    return inside;
  },
};

const extra = {
  async upgrade() {
    const socket = open(["polling", "websocket"]);
    await once(socket, "connect");
    await upgraded(socket);
    assert.equal(await socket.emitWithAck("message-with-ack", "upgraded"), "upgraded");
    return socket;
  },
};

async function run(name, scenario) {
  let error = null;
  try {
    (await scenario()).disconnect();
  } catch (cause) {
    error = cause.stack;
  }
  console.log(JSON.stringify({ name, error }));
}

for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
  const scenarios = Object.entries(perTransport).map(([name, scenario]) =>
    run(`${transports.join(" then ")}: ${name}`, () => scenario(transports)),
  );
  await Promise.all(scenarios);
}
for (const [name, scenario] of Object.entries(extra)) await run(name, scenario);
process.exit(0);
