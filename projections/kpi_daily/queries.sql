-- days: the figures of each store and day from :from_day to :to_day (both included, NULL for no bound), oldest first.
SELECT
    kpi.store_id, kpi.day, kpi.currency, kpi.orders, kpi.guest_orders, kpi.units,
    kpi.gmv_minor + kpi.discount_minor AS gross_minor, kpi.discount_minor, kpi.gmv_minor, kpi.freight_minor,
    kpi.refunds, kpi.refunded_minor, kpi.refunded_freight_minor,
    kpi.gmv_minor - kpi.refunded_minor AS net_sales_minor,
    found.customers,
    found.customers + found.guests AS buyers,
    round(kpi.gmv_minor::numeric / nullif(found.customers + found.guests, 0), 4) AS value_per_customer_minor,
    round(kpi.gmv_minor::numeric / nullif(kpi.orders, 0), 4) AS value_per_order_minor
FROM kpi_daily AS kpi CROSS JOIN rules AS rule CROSS JOIN LATERAL (
    SELECT count(DISTINCT coalesce(same.person_id, buyer.customer_id)) AS customers,
        CASE WHEN rule.guest_order_is_buyer THEN kpi.guest_orders ELSE 0 END AS guests
    FROM kpi_daily_buyers AS buyer
    LEFT JOIN kpi_daily_persons AS same ON same.customer_id = buyer.customer_id
    WHERE buyer.store_id = kpi.store_id AND buyer.day = kpi.day AND buyer.currency = kpi.currency
) AS found
WHERE (:store_ids::uuid[] IS NULL OR kpi.store_id = ANY (:store_ids::uuid[]))
    AND (:from_day::date IS NULL OR kpi.day >= :from_day::date) AND (:to_day::date IS NULL OR kpi.day <= :to_day::date)
    AND (:currency::text IS NULL OR kpi.currency = :currency::text)
ORDER BY kpi.day, kpi.store_id, kpi.currency;

-- periods: the figures of all these stores together for each :grain ('day', 'week', 'month', 'quarter', 'year') and currency.
WITH total AS (
    SELECT
        date_trunc(:grain::text, kpi.day::timestamp)::date AS starts_on, kpi.currency,
        sum(kpi.orders)::bigint AS orders, sum(kpi.guest_orders)::bigint AS guest_orders, sum(kpi.units) AS units,
        sum(kpi.gmv_minor)::bigint AS gmv_minor, sum(kpi.discount_minor)::bigint AS discount_minor,
        sum(kpi.freight_minor)::bigint AS freight_minor, sum(kpi.refunds)::bigint AS refunds,
        sum(kpi.refunded_minor)::bigint AS refunded_minor,
        sum(kpi.refunded_freight_minor)::bigint AS refunded_freight_minor
    FROM kpi_daily AS kpi
    WHERE (:store_ids::uuid[] IS NULL OR kpi.store_id = ANY (:store_ids::uuid[]))
        AND (:from_day::date IS NULL OR kpi.day >= :from_day::date) AND (:to_day::date IS NULL OR kpi.day <= :to_day::date)
        AND (:currency::text IS NULL OR kpi.currency = :currency::text)
    GROUP BY 1, 2
), person AS (
    -- Each once: grouping finds them in half the time that sorting for count(DISTINCT) takes.
    SELECT DISTINCT date_trunc(:grain::text, buyer.day::timestamp)::date AS starts_on, buyer.currency,
        coalesce(same.person_id, buyer.customer_id) AS person_id
    FROM kpi_daily_buyers AS buyer LEFT JOIN kpi_daily_persons AS same ON same.customer_id = buyer.customer_id
    WHERE (:store_ids::uuid[] IS NULL OR buyer.store_id = ANY (:store_ids::uuid[]))
        AND (:from_day::date IS NULL OR buyer.day >= :from_day::date) AND (:to_day::date IS NULL OR buyer.day <= :to_day::date)
        AND (:currency::text IS NULL OR buyer.currency = :currency::text)
), who AS (
    SELECT starts_on, currency, count(*) AS customers FROM person GROUP BY 1, 2
), figure AS (
    SELECT
        total.starts_on, total.currency, total.orders, total.guest_orders, total.units, total.gmv_minor,
        total.discount_minor, total.freight_minor, total.refunds, total.refunded_minor, total.refunded_freight_minor,
        coalesce(who.customers, 0) AS customers,
        coalesce(who.customers, 0) + CASE WHEN rule.guest_order_is_buyer THEN total.guest_orders ELSE 0 END AS buyers
    FROM total CROSS JOIN rules AS rule LEFT JOIN who USING (starts_on, currency)
)
SELECT
    figure.starts_on, figure.currency, figure.orders, figure.guest_orders, figure.units,
    figure.gmv_minor + figure.discount_minor AS gross_minor, figure.discount_minor, figure.gmv_minor,
    figure.freight_minor, figure.refunds, figure.refunded_minor, figure.refunded_freight_minor,
    figure.gmv_minor - figure.refunded_minor AS net_sales_minor, figure.customers, figure.buyers,
    round(figure.gmv_minor::numeric / nullif(figure.buyers, 0), 4) AS value_per_customer_minor,
    round(figure.gmv_minor::numeric / nullif(figure.orders, 0), 4) AS value_per_order_minor
FROM figure
ORDER BY figure.starts_on, figure.currency;

-- totals: one row for each currency over all these stores and the whole window; customers and buyers are distinct in it.
WITH total AS (
    SELECT
        kpi.currency, min(kpi.day) AS first_day, max(kpi.day) AS last_day,
        sum(kpi.orders)::bigint AS orders, sum(kpi.guest_orders)::bigint AS guest_orders, sum(kpi.units) AS units,
        sum(kpi.gmv_minor)::bigint AS gmv_minor, sum(kpi.discount_minor)::bigint AS discount_minor,
        sum(kpi.freight_minor)::bigint AS freight_minor, sum(kpi.refunds)::bigint AS refunds,
        sum(kpi.refunded_minor)::bigint AS refunded_minor,
        sum(kpi.refunded_freight_minor)::bigint AS refunded_freight_minor
    FROM kpi_daily AS kpi
    WHERE (:store_ids::uuid[] IS NULL OR kpi.store_id = ANY (:store_ids::uuid[]))
        AND (:from_day::date IS NULL OR kpi.day >= :from_day::date) AND (:to_day::date IS NULL OR kpi.day <= :to_day::date)
        AND (:currency::text IS NULL OR kpi.currency = :currency::text)
    GROUP BY 1
), per_customer AS (
    SELECT buyer.currency, coalesce(same.person_id, buyer.customer_id) AS person_id, sum(buyer.orders) AS orders
    FROM kpi_daily_buyers AS buyer LEFT JOIN kpi_daily_persons AS same ON same.customer_id = buyer.customer_id
    WHERE (:store_ids::uuid[] IS NULL OR buyer.store_id = ANY (:store_ids::uuid[]))
        AND (:from_day::date IS NULL OR buyer.day >= :from_day::date) AND (:to_day::date IS NULL OR buyer.day <= :to_day::date)
        AND (:currency::text IS NULL OR buyer.currency = :currency::text)
    GROUP BY 1, 2
), who AS (
    SELECT currency, count(*) AS customers, count(*) FILTER (WHERE orders > 1) AS repeat_customers
    FROM per_customer GROUP BY 1
), figure AS (
    SELECT
        total.currency, total.first_day, total.last_day, total.orders, total.guest_orders, total.units, total.gmv_minor,
        total.discount_minor, total.freight_minor, total.refunds, total.refunded_minor, total.refunded_freight_minor,
        coalesce(who.customers, 0) AS customers, coalesce(who.repeat_customers, 0) AS repeat_customers,
        coalesce(who.customers, 0) + CASE WHEN rule.guest_order_is_buyer THEN total.guest_orders ELSE 0 END AS buyers
    FROM total CROSS JOIN rules AS rule LEFT JOIN who USING (currency)
)
SELECT
    figure.currency, figure.first_day, figure.last_day, figure.orders, figure.guest_orders, figure.units,
    figure.gmv_minor + figure.discount_minor AS gross_minor, figure.discount_minor, figure.gmv_minor,
    figure.freight_minor, figure.refunds, figure.refunded_minor, figure.refunded_freight_minor,
    figure.gmv_minor - figure.refunded_minor AS net_sales_minor, figure.customers, figure.repeat_customers, figure.buyers,
    round(figure.gmv_minor::numeric / nullif(figure.buyers, 0), 4) AS value_per_customer_minor,
    round(figure.gmv_minor::numeric / nullif(figure.orders, 0), 4) AS value_per_order_minor
FROM figure
ORDER BY figure.currency;
