// What relay-runtime sees of compiled documents, each sent by the name that relay-compiler gave it: a page, the next one
// merged behind it, a row fetched again, and a mutation that changes it where it is kept; one line of JSON.

import { createRequire } from "node:module";
import runtime from "relay-runtime";

const [url, token, channel] = process.argv.slice(2);
const artifact = (name) => createRequire(import.meta.url)(`./relay/__generated__/${name}.graphql.js`);
const { Environment, Network, RecordSource, Store, commitMutation, createOperationDescriptor, fetchQuery, getSelector } =
  runtime;

const sent = [];
const environment = new Environment({
  network: Network.create(async (parameters, variables) => {
    sent.push(parameters.name);
    const answer = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
      body: JSON.stringify({ documentId: `sha256:${parameters.id}`, variables }),
    });
    return answer.json();
  }),
  store: new Store(new RecordSource()),
});
const ask = (name, variables) => fetchQuery(environment, artifact(name), variables).toPromise();

const desk = createOperationDescriptor(artifact("ordersDeskQuery"), { channel });
environment.retain(desk);
const list = () => {
  const { data } = environment.lookup(desk.fragment);
  return environment.lookup(getSelector(artifact("orders_list"), data)).data.orders;
};
const rows = () => list().edges.map((edge) => {
  const { data } = environment.lookup(getSelector(artifact("orders_row"), edge.node));
  return { id: edge.node.id, status: data.status, total: data.total.amount };
});

const seen = { viewer: (await ask("ordersDeskQuery", { channel })).viewer, lengths: [rows().length] };
while (list().pageInfo.hasNextPage) {
  await ask("ordersPageQuery", { channel, count: 2, cursor: list().pageInfo.endCursor });
  seen.lengths.push(rows().length);
}
seen.rows = rows();

const [first] = seen.rows;
seen.payload = await new Promise((resolve, reject) => {
  const input = { orderId: first.id, amountMinor: 1000, method: "card", currency: "GBP", idempotencyKey: "relay" };
  commitMutation(environment, {
    mutation: artifact("ordersPayMutation"),
    variables: { input },
    onCompleted: (data) => resolve(data.payOrder.userErrors),
    onError: reject,
  });
});
seen.paid = rows()[0].status;
await ask("ordersRowQuery", { id: first.id, withLines: true });
seen.again = rows()[0];
seen.sent = sent;
console.log(JSON.stringify(seen));
