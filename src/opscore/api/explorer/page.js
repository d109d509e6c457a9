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
];

const element = React.createElement;
const send = GraphiQL.createFetcher({ url: "/graphql" });

// Until a token has been typed the request goes without one: the schema can be read by anybody.
function fetcher(request, options) {
  const headers = Object.entries(options?.headers ?? {}).filter(([, value]) => !/^bearer\s*$/i.test(String(value)));
  return send(request, { ...options, headers: Object.fromEntries(headers) });
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
