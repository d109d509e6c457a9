// What @urql/core sees: a query by GET and by POST, a mutation, an error, and a long list walked both ways by the paging
// of its cache; one line of JSON.

import { Client, fetchExchange } from "@urql/core";
import { cacheExchange } from "@urql/exchange-graphcache";
import { relayPagination } from "@urql/exchange-graphcache/extras";

const [url, token, sku] = process.argv.slice(2);

function client(options) {
  const sent = [];
  const made = new Client({
    url,
    fetchOptions: { headers: { authorization: `Bearer ${token}` } },
    fetch: async (address, given) => {
      const answer = await fetch(address, given);
      sent.push([given.method, answer.status, answer.headers.get("content-type")]);
      return answer;
    },
    exchanges: [fetchExchange],
    ...options,
  });
  return Object.assign(made, { sent });
}

const viewer = "query Who($with: Boolean!) { viewer { name role @include(if: $with) } }";
const retire = `mutation Retire($input: RetireSkuInput!) {
  retireSku(input: $input) { sku { id status } replayed userErrors { code } }
}`;
const gets = client({ preferGetMethod: "force" });
const posts = client({ preferGetMethod: false });
const seen = {
  got: (await gets.query(viewer, { with: true }).toPromise()).data,
  posted: (await posts.query(viewer, { with: true }).toPromise()).data,
  given: (await gets.mutation(retire, { input: { skuId: sku, idempotencyKey: "urql" } }).toPromise()).data,
  invalid: (await gets.query("{ nothing }", {}).toPromise()).error.graphQLErrors.map((each) => each.extensions.code),
};
seen.gets = gets.sent;
seen.posts = posts.sent;

const list = `query List($first: Int, $after: String, $last: Int, $before: String) {
  skus(filter: { code: { startsWith: "LONG-" } }, sort: { by: CODE }, first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { id code } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}`;

async function walk(next) {
  const by = client({ exchanges: [cacheExchange({ resolvers: { Query: { skus: relayPagination() } } }), fetchExchange] });
  const lengths = [];
  let page = null;
  do {
    const { data, error } = await by.query(list, next(page)).toPromise();
    if (error) throw error;
    lengths.push(data.skus.edges.length);
    page = data.skus;
  } while (next(page) !== null);
  return { lengths, codes: page.edges.map((edge) => edge.node.code), pageInfo: page.pageInfo, asked: by.sent.length };
}

seen.forwards = await walk((page) => {
  if (page === null) return { first: 100 };
  return page.pageInfo.hasNextPage ? { first: 100, after: page.pageInfo.endCursor } : null;
});
seen.backwards = await walk((page) => {
  if (page === null) return { last: 99 };
  return page.pageInfo.hasPreviousPage ? { last: 99, before: page.pageInfo.startCursor } : null;
});
console.log(JSON.stringify(seen));
