// A storefront, an order desk and an auditor, typed by graphql-codegen: an order from its article to its parcel, and
// the events that it made. No document is sent, only its hash. Prints what came as one line of JSON.

import { Client, fetchExchange, makeOperation, mapExchange, subscriptionExchange } from "@urql/core";
import type { AnyVariables, TypedDocumentNode } from "@urql/core";
import { createClient, type SubscribePayload } from "graphql-ws";
import WebSocket from "ws";
import * as documents from "./generated/graphql.js";

type Given = {
  url: string;
  storeId: string;
  tokens: { storefront: string; desk: string; warehouse: string; auditor: string };
};
type Event = documents.AuditorFollowSubscription["events"];

const given: Given = JSON.parse(process.argv[2]!);
let keys = 0;
const key = () => `typed ${++keys}`;

// codegen keeps the hash of a document beside it, and of a document that is nothing but a hash urql sends the hash.
const byHash = mapExchange({
  onOperation(operation) {
    const { documentId } = (operation.query as unknown as { __meta__: { documentId: string } }).__meta__;
    const query = { kind: operation.query.kind, definitions: [], documentId };
    return makeOperation(operation.kind, { ...operation, query }, operation.context);
  },
});

function client(token: string): Client {
  const authorization = `Bearer ${token}`;
  const socket = createClient({
    url: given.url.replace("http", "ws"),
    webSocketImpl: WebSocket,
    connectionParams: { authorization },
    retryAttempts: 0,
  });
  return new Client({
    url: given.url,
    fetchOptions: { headers: { authorization } },
    exchanges: [
      byHash,
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: (request) => ({
          subscribe: (sink) => {
            const payload: SubscribePayload = { ...request, query: request.query ?? "" };
            return { unsubscribe: socket.subscribe(payload, sink) };
          },
        }),
      }),
    ],
  });
}

async function ask<Data, Variables extends AnyVariables>(
  by: Client,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  const { data, error } = await by.query(document, variables).toPromise();
  if (error || !data) throw error ?? new Error("neither data nor an error");
  return data;
}

async function give<Data, Variables extends AnyVariables>(
  by: Client,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  const { data, error } = await by.mutation(document, variables).toPromise();
  if (error || !data) throw error ?? new Error("neither data nor an error");
  return data;
}

function follow<Data, Variables extends AnyVariables>(
  by: Client,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  enough: (data: Data) => boolean,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const { unsubscribe } = by.subscription(document, variables).subscribe(({ data, error }) => {
      if (error) reject(error);
      else if (data && enough(data)) {
        resolve();
        setTimeout(() => unsubscribe());
      }
    });
  });
}

function need<Value>(value: Value | null | undefined, name: string): Value {
  if (value === null || value === undefined) throw new Error(`${name} did not come`);
  return value;
}

// @ts-expect-error: the types know that a command has its key.
export const keyless: documents.PlaceOrderInput = { storeId: given.storeId, lines: [] };

const storefront = client(given.tokens.storefront);
const desk = client(given.tokens.desk);
const warehouse = client(given.tokens.warehouse);
const auditor = client(given.tokens.auditor);

const { storeId } = given;
const { stores } = await ask(desk, documents.AdminViewerDocument, {});
const store = need(stores.nodes.find((each) => each.id === storeId), "the store");
const { locationId } = need(store.locations[0], "its warehouse");
const { head } = await ask(auditor, documents.AuditorHeadDocument, {});

const events: Event[] = [];
const following = follow(auditor, documents.AuditorFollowDocument, { after: need(head, "the head").position }, (data) => {
  events.push(data.events);
  return data.events.type === "OrderShipped";
});
let today: documents.AdminTodaySubscription["figures"] = [];
const counting = follow(desk, documents.AdminTodayDocument, { storeIds: [storeId] }, (data) => {
  today = data.figures;
  return today.some((day) => day.orders > 0);
});

const { skuByCode } = await ask(storefront, documents.StorefrontArticleDocument, { storeId, code: "TYPED" });
const article = need(skuByCode, "the article");
const { registerCustomer } = await give(storefront, documents.StorefrontRegisterDocument, {
  input: { storeId, channel: "web", idempotencyKey: key() },
});
const customerId = need(registerCustomer.customer, "the customer").id;

const order = { storeId, customerId, lines: [{ skuId: article.id, quantity: "2" }] };
const { placeOrder: refused } = await give(storefront, documents.StorefrontPlaceOrderDocument, {
  input: { ...order, lines: [{ skuId: article.id, quantity: "999" }], idempotencyKey: key() },
});
const short: documents.PlaceOrderErrorCode = "STOCK_INSUFFICIENT";
const refusal = refused.userErrors.map(({ code, path }) => ({ isShort: code === short, path }));

const placing = { input: { ...order, idempotencyKey: key() } };
const { placeOrder } = await give(storefront, documents.StorefrontPlaceOrderDocument, placing);
const placed = need(placeOrder.order, "the order");
const total = need(placed.total, "what it costs");
const { placeOrder: again } = await give(storefront, documents.StorefrontPlaceOrderDocument, placing);
const { payOrder } = await give(storefront, documents.StorefrontPayDocument, {
  input: {
    orderId: placed.id,
    amountMinor: total.amountMinor,
    currency: total.currencyCode,
    method: "card",
    idempotencyKey: key(),
  },
});
await give(desk, documents.AdminConfirmDocument, { input: { orderId: placed.id, idempotencyKey: key() } });

const { order: open } = await ask(warehouse, documents.AdminOrderDocument, { id: placed.id });
const lines = need(open, "the order to pack").lines.map(({ line, skuId, quantity }) => ({ line, skuId, quantity }));
const { packParcel } = await give(warehouse, documents.AdminPackDocument, {
  input: { orderId: placed.id, locationId, lines, idempotencyKey: key() },
});
const { parcelId } = need(packParcel.order?.parcels[0], "the parcel");
const { shipOrder } = await give(warehouse, documents.AdminShipDocument, {
  input: { orderId: placed.id, parcelId, courier: "DPD", waybill: "W-1", idempotencyKey: key() },
});

const { order: seen } = await ask(storefront, documents.StorefrontOrderDocument, { id: placed.id });
const { orders } = await ask(desk, documents.AdminOrdersDocument, {
  filter: { status: { in: ["SHIPPED"] } },
  first: 5,
  atLeast: shipOrder.position,
});
await Promise.all([following, counting]);

console.log(
  JSON.stringify({
    price: article.prices[0]?.listPrice.amount,
    refusal,
    placed: { status: placed.status, total: placed.total },
    again: { same: again.order?.id === placed.id, replayed: again.replayed },
    paid: { status: payOrder.order?.status, due: payOrder.order?.due?.amount },
    allowed: open?.allowedCommands.filter((each) => each.allowed).map((each) => each.name),
    seen: seen && { status: seen.status, parcels: seen.parcels.map(({ waybill, lines }) => ({ waybill, lines })) },
    listed: orders.nodes.map(({ id, status }) => ({ mine: id === placed.id, status })),
    events: events.filter((each) => each.aggregateId === placed.id).map((each) => each.type),
    inOrder: events.every((each, index) => index === 0 || each.position > events[index - 1]!.position),
    today: today.map(({ orders, buyers, netSales }) => ({ orders, buyers, net: netSales.amount })),
  }),
);
