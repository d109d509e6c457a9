// Starts GraphiQL against the endpoint of this server. The token is typed in the Headers tab and kept nowhere.
"use strict";

const QUERIES = [
  {
    query: `# Who am I, and which stores may I see?
# Put your token behind "Bearer " in the Headers tab below.
query Viewer {
  viewer {
    role
    commands
  }
  stores(first: 10) {
    nodes {
      id
      name
      status
      currencyCode
    }
  }
}
`,
  },
  {
    query: `# The newest orders with their lines.
query NewestOrders {
  orders(first: 10) {
    nodes {
      id
      status
      placedAt
      total {
        amount
        currencyCode
      }
      lines {
        skuCode
        name
        quantity
        amount {
          amount
        }
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`,
  },
  {
    query: `# What each store sold today: at once, and again whenever it changes. It is told until it is stopped.
subscription Today {
  figures {
    storeId
    day
    orders
    netSales {
      amount
      currencyCode
    }
  }
}
`,
  },
];

const element = React.createElement;
const send = GraphiQL.createFetcher({ url: "/graphql" });

// The operation that is to be run, as the text has it: GraphiQL hands the name, and the parsed document, of the tab before
// to whoever is quick to run the next one.
function chosen(request) {
  const operations = [...request.query.matchAll(/^\s*(query|mutation|subscription)\b\s*(\w*)/gm)];
  return operations.find(([, , name]) => name === request.operationName) ?? (operations.length === 1 ? operations[0] : []);
}

// What a subscription tells, over a socket of its own (graphql-transport-ws). GraphiQL's own client would try a token that
// is not taken again and again for half a minute; here the server's word is shown at once.
function follow(request, headers) {
  return {
    subscribe(observer) {
      const address = new URL("/graphql", window.location.href.replace(/^http/, "ws"));
      const socket = new WebSocket(address, "graphql-transport-ws");
      const say = (message) => socket.send(JSON.stringify(message));
      const given = new Headers(headers);
      const end = (errors) => {
        socket.onclose = null;
        socket.close(1000);
        if (errors) observer.next({ errors });
        observer.complete();
      };
      socket.onopen = () =>
        say({
          type: "connection_init",
          payload: { authorization: given.get("authorization"), role: given.get("x-opscore-role") },
        });
      socket.onmessage = ({ data }) => {
        const { type, payload } = JSON.parse(data);
        if (type === "connection_ack") say({ id: "explorer", type: "subscribe", payload: request });
        else if (type === "ping") say({ type: "pong" });
        else if (type === "next") observer.next(payload);
        else if (type === "error") end(payload);
        else if (type === "complete") end();
      };
      socket.onclose = ({ code, reason }) => end([{ message: reason || `The socket was closed with code ${code}.` }]);
      return { unsubscribe: () => end() };
    },
  };
}

// Until a token has been typed the request goes without one: the schema can be read by anybody.
function fetcher(request, options) {
  const given = Object.entries(options?.headers ?? {}).filter(([, value]) => !/^bearer\s*$/i.test(String(value)));
  const headers = Object.fromEntries(given);
  const [, kind, name] = chosen(request);
  const asked = { ...request, operationName: name || undefined };
  return kind === "subscription" ? follow(asked, headers) : send(asked, { headers });
}

const plugin = GraphiQLPluginExplorer.explorerPlugin({ showAttribution: false });

ReactDOM.createRoot(document.getElementById("explorer")).render(
  element(
    GraphiQL,
    {
      fetcher,
      plugins: [plugin],
      defaultTabs: QUERIES,
      defaultHeaders: '{\n  "Authorization": "Bearer "\n}',
      headerEditorEnabled: true,
      shouldPersistHeaders: false,
    },
    element(GraphiQL.Logo, {}, "opscore"),
  ),
);
