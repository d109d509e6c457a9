"""The GraphQL API: one schema for storefronts, admin screens and auditors."""
