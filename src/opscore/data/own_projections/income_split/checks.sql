-- funds_are_the_income: what is in the three funds is what came in, to the last minor unit.
SELECT entry.position, entry.amount_minor, entry.other_minor, entry.working_minor, entry.purchasing_minor
FROM income_entries AS entry
WHERE entry.amount_minor <> entry.other_minor + entry.working_minor + entry.purchasing_minor;

-- all_of_it_back_is_nothing: an order whose income went back whole leaves nothing in any fund.
SELECT entry.order_id, sum(entry.other_minor) AS other_minor, sum(entry.working_minor) AS working_minor
FROM income_entries AS entry
GROUP BY 1
HAVING sum(entry.amount_minor) = 0 AND count(*) FILTER (WHERE entry.kind = 'income') = 1
    AND (sum(entry.other_minor) <> 0 OR sum(entry.working_minor) <> 0);
