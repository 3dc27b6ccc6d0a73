CREATE TABLE orders (id bigint PRIMARY KEY, customer integer NOT NULL, note text, total numeric(12, 2) NOT NULL, placed_on date NOT NULL);
INSERT INTO orders
SELECT i, i % 977, CASE WHEN i % 5 = 0 THEN NULL ELSE 'note ' || i END, (i * 37 % 100003) / 100.0, date '2026-01-01' + i % 365
FROM generate_series(1, 200000) AS g(i);
ANALYZE orders;
