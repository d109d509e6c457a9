// What the graphql-ws client sees: a query, a subscription resumed by position, errors, close codes; one line of JSON.

import { createClient } from "graphql-ws";
import WebSocket from "ws";

const [url, token, after] = process.argv.slice(2);

function client(authorization) {
  return createClient({
    url,
    webSocketImpl: WebSocket,
    connectionParams: authorization ? { authorization } : undefined,
    retryAttempts: 0,
  });
}

const good = client(`Bearer ${token}`);
const seen = {};

for await (const result of good.iterate({ query: "{ viewer { role } }" })) seen.query = result.data;

seen.positions = [];
const query = "subscription ($after: Position) { events(after: $after) { position } }";
for await (const result of good.iterate({ query, variables: { after: Number(after) } })) {
  seen.positions.push(result.data.events.position);
  if (seen.positions.length === 10) break;
}

async function failure(from, document) {
  try {
    for await (const result of from.iterate({ query: document })) return { unexpected: result };
    return null;
  } catch (error) {
    if (Array.isArray(error)) return error.map((each) => each.extensions.code);
    return error.code;
  }
}

seen.invalid = await failure(good, "subscription { nothing }");
seen.unparsed = await failure(good, "subscription {");
seen.anonymous = await failure(client(null), "{ __typename }");
seen.forged = await failure(client("Bearer nonsense"), "{ __typename }");
await good.dispose();

function raw(messages, protocol = "graphql-transport-ws") {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, protocol);
    socket.on("open", () => messages.forEach((each) => socket.send(JSON.stringify(each))));
    socket.on("close", (code) => resolve(code));
    socket.on("unexpected-response", (_, response) => {
      resolve(response.statusCode);
      response.destroy();
    });
    socket.on("error", () => {});
  });
}

const init = { type: "connection_init", payload: { authorization: `Bearer ${token}` } };
const follow = { id: "1", type: "subscribe", payload: { query: "subscription { events { position } }" } };
seen.codes = {
  nonsense: await raw([{ type: "dance" }]),
  early: await raw([follow]),
  twice: await raw([init, init]),
  sameId: await raw([init, follow, follow]),
  otherProtocol: await raw([], "graphql-ws"),
};
console.log(JSON.stringify(seen));
