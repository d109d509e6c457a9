-- funds_are_the_money: what an event put into the three funds, or took out of them, is its amount to the last minor unit.
SELECT entry.position, entry.amount_minor, entry.purchasing_minor, entry.working_minor, entry.other_minor
FROM fund_entries AS entry
WHERE entry.amount_minor <> entry.purchasing_minor + entry.working_minor + entry.other_minor;

-- all_of_it_back_is_nothing: an order whose income went back whole leaves nothing of it in any fund.
SELECT entry.order_id, sum(entry.working_minor) AS working_minor, sum(entry.other_minor) AS other_minor
FROM fund_entries AS entry
WHERE entry.event IN ('OrderPaid', 'OrderRefunded')
GROUP BY 1
HAVING sum(entry.amount_minor) = 0 AND count(*) FILTER (WHERE entry.event = 'OrderPaid') = 1
    AND (sum(entry.working_minor) <> 0 OR sum(entry.other_minor) <> 0);

-- incomes_are_the_log: what came in with orders is what the log says was paid for them, by currency.
SELECT currency, kept.minor, log.minor AS in_log
FROM (
    SELECT entry.currency, sum(entry.amount_minor) AS minor FROM fund_entries AS entry
    WHERE entry.event = 'OrderPaid' GROUP BY 1
) AS kept FULL JOIN (
    SELECT paid.currency, sum(paid.total_minor) AS minor FROM order_paid AS paid GROUP BY 1
) AS log USING (currency)
WHERE kept.minor IS DISTINCT FROM log.minor;
