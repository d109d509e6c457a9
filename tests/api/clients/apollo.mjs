// What @apollo/client sees: a long list walked by the paging of its cache, and a row of it that a mutation changes there,
// known by its type and id; one line of JSON.

import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { relayStylePagination } from "@apollo/client/utilities";

const [url, token, sku] = process.argv.slice(2);

const sent = [];
const counting = new ApolloLink((operation, forward) => {
  sent.push(operation.operationName);
  return forward(operation);
});
const cache = new InMemoryCache({
  typePolicies: { Query: { fields: { skus: relayStylePagination(["filter", "sort"]) } } },
});
const client = new ApolloClient({
  cache,
  link: ApolloLink.from([counting, new HttpLink({ uri: url, headers: { authorization: `Bearer ${token}` } })]),
});

const list = gql`
  query List($first: Int!, $after: String) {
    skus(filter: { code: { startsWith: "LONG-" } }, sort: { by: CODE }, first: $first, after: $after) {
      edges {
        cursor
        node {
          id
          code
          status
        }
      }
      pageInfo {
        hasNextPage
        hasPreviousPage
        startCursor
        endCursor
      }
    }
  }
`;
const seen = { lengths: [] };
const ask = (after) => client.query({ query: list, variables: { first: 100, after }, fetchPolicy: "network-only" });
const page = () => client.readQuery({ query: list, variables: { first: 100 } }).skus;
await ask();
seen.lengths.push(page().edges.length);
while (page().pageInfo.hasNextPage) {
  await ask(page().pageInfo.endCursor);
  seen.lengths.push(page().edges.length);
}
seen.codes = page().edges.map((edge) => edge.node.code);
seen.pageInfo = { next: page().pageInfo.hasNextPage, previous: page().pageInfo.hasPreviousPage };
seen.walked = sent.length;

const status = () => page().edges.find((edge) => edge.node.id === sku).node.status;
seen.before = status();
const retire = gql`
  mutation Retire($input: RetireSkuInput!) {
    retireSku(input: $input) {
      sku {
        id
        status
      }
      userErrors {
        code
      }
    }
  }
`;
const { data } = await client.mutate({
  mutation: retire,
  variables: { input: { skuId: sku, idempotencyKey: "apollo" } },
});
seen.userErrors = data.retireSku.userErrors;
seen.after = status();
seen.keptAs = cache.identify({ __typename: "Sku", id: sku });
seen.kept = cache.extract()[seen.keptAs].status;
seen.sent = sent;

const wrong = new ApolloClient({ cache: new InMemoryCache(), link: new HttpLink({ uri: url }) });
try {
  await wrong.query({ query: gql`query Mine { viewer { name } }` });
} catch (error) {
  seen.anonymous = error.errors.map((each) => each.extensions.code);
}
console.log(JSON.stringify(seen));
