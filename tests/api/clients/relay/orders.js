// The work list of an order desk, as a page with Relay declares it: a row that is fetched again by its id, and a list.

import { graphql } from "relay-runtime";

export const row = graphql`
  fragment orders_row on Order
  @argumentDefinitions(withLines: { type: "Boolean", defaultValue: false })
  @refetchable(queryName: "ordersRowQuery") {
    status
    version
    total {
      amount
      currencyCode
    }
    lines @include(if: $withLines) {
      skuCode
      quantity
    }
  }
`;

export const list = graphql`
  fragment orders_list on Query
  @argumentDefinitions(
    count: { type: "Int", defaultValue: 2 }
    cursor: { type: "String" }
    channel: { type: "String!" }
  )
  @refetchable(queryName: "ordersPageQuery") {
    orders(filter: { channel: { eq: $channel } }, first: $count, after: $cursor) @connection(key: "orders_list_orders") {
      edges {
        node {
          id
          ...orders_row
        }
      }
    }
  }
`;

export const page = graphql`
  query ordersDeskQuery($channel: String!) {
    viewer {
      name
    }
    ...orders_list @arguments(channel: $channel)
  }
`;

export const pay = graphql`
  mutation ordersPayMutation($input: PayOrderInput!) {
    payOrder(input: $input) {
      order {
        id
        ...orders_row @arguments(withLines: true)
      }
      userErrors {
        code
        message
        path
      }
    }
  }
`;

export const follow = graphql`
  subscription ordersFollowSubscription($after: Position) {
    events(after: $after) {
      position
      type
      aggregateId
    }
  }
`;
