-- inquiries_are_the_log: every inquiry of the log is there, by whom it was answered.
SELECT known.position, said.position AS position_in_log, known.agent, said.agent AS agent_in_log
FROM inquiries AS known FULL JOIN inquiry_recorded AS said ON said.position = known.position
WHERE known.agent IS DISTINCT FROM said.agent OR known.inquirer_id IS DISTINCT FROM said.inquirer_id;

-- payments_are_the_log: every paid order of a customer in the log is there.
SELECT known.position, said.position AS position_in_log
FROM payments AS known
FULL JOIN (
    SELECT position, customer_id FROM order_paid WHERE customer_id IS NOT NULL
) AS said ON said.position = known.position
WHERE known.customer_id IS DISTINCT FROM said.customer_id;
