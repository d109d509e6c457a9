-- agreements: what was agreed, where it stands, what was paid, and what is due next.
CREATE TABLE agreements (
    agreement_id             uuid PRIMARY KEY,
    store_id                 uuid NOT NULL,
    owner                    text NOT NULL,
    agency                   text NOT NULL,
    currency                 text COLLATE "C" NOT NULL,
    status                   text COLLATE "C" NOT NULL,
    signed_on                date NOT NULL,
    term_from                date NOT NULL,
    term_to                  date NOT NULL,
    -- When it is over unless it is renewed: the end of the term, or of the day that a notice names.
    ends_at                  timestamptz NOT NULL,
    monthly_fee_minor        bigint NOT NULL,
    commission_rate          numeric NOT NULL,
    document                 text,
    fee_paid_minor           bigint NOT NULL DEFAULT 0,
    -- What the fee came to through the last day; known once it has ended.
    fee_due_minor            bigint,
    owner_breaches           bigint NOT NULL DEFAULT 0,
    agency_breaches          bigint NOT NULL DEFAULT 0,
    -- The answer to the renewal that was asked for last.
    answer_due_by            timestamptz,
    first_fee_at             timestamptz,
    -- The day of the store on which the first fee was received.
    first_fee_on             date,
    first_plan_due_by        timestamptz,
    first_plan_at            timestamptz,
    first_plan_working_days  bigint,
    last_day                 date
) WITH (fillfactor = 50);

-- agreements_ends: agreements by when they are over.
CREATE INDEX agreements_ends ON agreements (ends_at, agreement_id);

-- agreement_steps: what starts the clock of a first plan, and what stops it.
CREATE TABLE agreement_steps (
    position      bigint PRIMARY KEY,
    agreement_id  uuid NOT NULL,
    event         text COLLATE "C" NOT NULL,
    occurred_at   timestamptz NOT NULL,
    working_days  bigint,
    in_time       boolean
);

-- agreement_steps_agreement: the steps of an agreement.
CREATE INDEX agreement_steps_agreement ON agreement_steps (agreement_id, position);
