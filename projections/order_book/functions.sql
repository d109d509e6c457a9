-- sum_few: sum() for groups of few rows, where setting up and reading out what sum() keeps takes longer than adding.
CREATE AGGREGATE sum_few(numeric) (SFUNC = numeric_add, STYPE = numeric, PARALLEL = SAFE);

-- sum_few_minor: the same of amounts in minor units.
CREATE AGGREGATE sum_few_minor(bigint) (SFUNC = int8pl, STYPE = bigint, PARALLEL = SAFE);
