-- Loads an extraction into Snowflake. Written by sqlextract VERSION.
--
-- Run it with a client that stops at the first error:
--
--   snow sql -f FILE        or  snowsql -o exit_on_error=true -f FILE
--
-- Each table is loaded beside its target, counted, and published in one transaction. A second run loads the
-- staging table again, finds the job in SQLEXTRACT_LOADS, and changes nothing.
--
-- job: "orders-0123abcd"
-- finished: "2026-01-02T03:05:05Z"
-- manifest: "s3://lake/exports/orders-0123abcd/manifest.json"
-- manifest sha256: 05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f
-- mode: append
-- table: "RAW.ORDERS" from "shop.orders", rows: 5, chunks: 2
-- table: "RAW.EMPTY" from "shop.empty", rows: 0, chunks: 0

USE WAREHOUSE "LOADING";
USE DATABASE "ANALYTICS";
ALTER SESSION SET TIMEZONE = 'UTC';
ALTER SESSION SET TRANSACTION_ABORT_ON_ERROR = TRUE;

-- ==== "RAW.ORDERS"

-- Schema, ledger, table, stage.
CREATE SCHEMA IF NOT EXISTS "ANALYTICS"."RAW";
CREATE TABLE IF NOT EXISTS "ANALYTICS"."RAW"."SQLEXTRACT_LOADS" (
  "JOB" VARCHAR NOT NULL,
  "TABLE_NAME" VARCHAR NOT NULL,
  "ROW_COUNT" NUMBER(19,0) NOT NULL,
  "LOADED_AT" TIMESTAMP_TZ(6)
);
CREATE TABLE IF NOT EXISTS "ANALYTICS"."RAW"."ORDERS" (
  "ID" NUMBER(19,0) NOT NULL,
  "OK" BOOLEAN,
  "SMALL" NUMBER(5,0),
  "INT" NUMBER(10,0),
  "REAL" FLOAT,
  "DOUBLE" FLOAT,
  "PRICE" NUMBER(10,2),
  "UUID" VARCHAR(36),
  "JSON" VARIANT,
  "JSONB" VARIANT,
  "ARRAY" VARIANT,
  "BYTES" BINARY(67108864),
  "DAY" DATE,
  "MOMENT" TIMESTAMP_NTZ(6),
  "INSTANT" TIMESTAMP_TZ(6),
  "TEXT" VARCHAR,
  "NUMERIC" VARCHAR,
  "INTERVAL" VARCHAR,
  "INET" VARCHAR,
  "INT4RANGE" VARCHAR,
  "MOOD" VARCHAR,
  "HSTORE" VARCHAR
);
CREATE STAGE IF NOT EXISTS "ANALYTICS"."RAW"."SQLEXTRACT_STAGE_27C505B1" URL = 's3://lake/exports/' STORAGE_INTEGRATION = "LAKE";

-- Stops where the table is not what the extraction needs.
SELECT TO_NUMBER(IFF(COUNT(*) = 0, '0', 'RAW.ORDERS does not fit: ' || LISTAGG(difference, '; ') WITHIN GROUP (ORDER BY difference))) AS differences
FROM (
  SELECT column_name || CASE column_name
    WHEN 'ID' THEN CASE WHEN NOT (data_type = 'NUMBER' AND numeric_scale >= 0 AND numeric_precision - numeric_scale >= 19) THEN ' is ' || data_type || ', which cannot hold NUMBER(19,0)' END
    WHEN 'OK' THEN CASE WHEN NOT (data_type = 'BOOLEAN') THEN ' is ' || data_type || ', which cannot hold BOOLEAN' END
    WHEN 'SMALL' THEN CASE WHEN NOT (data_type = 'NUMBER' AND numeric_scale >= 0 AND numeric_precision - numeric_scale >= 5) THEN ' is ' || data_type || ', which cannot hold NUMBER(5,0)' END
    WHEN 'INT' THEN CASE WHEN NOT (data_type = 'NUMBER' AND numeric_scale >= 0 AND numeric_precision - numeric_scale >= 10) THEN ' is ' || data_type || ', which cannot hold NUMBER(10,0)' END
    WHEN 'REAL' THEN CASE WHEN NOT (data_type = 'FLOAT') THEN ' is ' || data_type || ', which cannot hold FLOAT' END
    WHEN 'DOUBLE' THEN CASE WHEN NOT (data_type = 'FLOAT') THEN ' is ' || data_type || ', which cannot hold FLOAT' END
    WHEN 'PRICE' THEN CASE WHEN NOT (data_type = 'NUMBER' AND numeric_scale >= 2 AND numeric_precision - numeric_scale >= 8) THEN ' is ' || data_type || ', which cannot hold NUMBER(10,2)' END
    WHEN 'UUID' THEN CASE WHEN NOT (data_type = 'TEXT' AND character_maximum_length >= 36) THEN ' is ' || data_type || ', which cannot hold VARCHAR(36)' END
    WHEN 'JSON' THEN CASE WHEN NOT (data_type = 'VARIANT') THEN ' is ' || data_type || ', which cannot hold VARIANT' END
    WHEN 'JSONB' THEN CASE WHEN NOT (data_type = 'VARIANT') THEN ' is ' || data_type || ', which cannot hold VARIANT' END
    WHEN 'ARRAY' THEN CASE WHEN NOT (data_type = 'VARIANT') THEN ' is ' || data_type || ', which cannot hold VARIANT' END
    WHEN 'BYTES' THEN CASE WHEN NOT (data_type = 'BINARY') THEN ' is ' || data_type || ', which cannot hold BINARY(67108864)' END
    WHEN 'DAY' THEN CASE WHEN NOT (data_type = 'DATE') THEN ' is ' || data_type || ', which cannot hold DATE' END
    WHEN 'MOMENT' THEN CASE WHEN NOT (data_type = 'TIMESTAMP_NTZ' AND COALESCE(datetime_precision, 9) >= 6) THEN ' is ' || data_type || ', which cannot hold TIMESTAMP_NTZ(6)' END
    WHEN 'INSTANT' THEN CASE WHEN NOT (data_type = 'TIMESTAMP_TZ' AND COALESCE(datetime_precision, 9) >= 6) THEN ' is ' || data_type || ', which cannot hold TIMESTAMP_TZ(6)' END
    WHEN 'TEXT' THEN CASE WHEN NOT (data_type = 'TEXT' AND character_maximum_length >= 16777216) THEN ' is ' || data_type || ', which cannot hold VARCHAR' END
    WHEN 'NUMERIC' THEN CASE WHEN NOT (data_type = 'TEXT' AND character_maximum_length >= 16777216) THEN ' is ' || data_type || ', which cannot hold VARCHAR' END
    WHEN 'INTERVAL' THEN CASE WHEN NOT (data_type = 'TEXT' AND character_maximum_length >= 16777216) THEN ' is ' || data_type || ', which cannot hold VARCHAR' END
    WHEN 'INET' THEN CASE WHEN NOT (data_type = 'TEXT' AND character_maximum_length >= 16777216) THEN ' is ' || data_type || ', which cannot hold VARCHAR' END
    WHEN 'INT4RANGE' THEN CASE WHEN NOT (data_type = 'TEXT' AND character_maximum_length >= 16777216) THEN ' is ' || data_type || ', which cannot hold VARCHAR' END
    WHEN 'MOOD' THEN CASE WHEN NOT (data_type = 'TEXT' AND character_maximum_length >= 16777216) THEN ' is ' || data_type || ', which cannot hold VARCHAR' END
    WHEN 'HSTORE' THEN CASE WHEN NOT (data_type = 'TEXT' AND character_maximum_length >= 16777216) THEN ' is ' || data_type || ', which cannot hold VARCHAR' END
    ELSE ' is not in the extraction' END AS difference
  FROM "ANALYTICS".INFORMATION_SCHEMA.COLUMNS WHERE table_schema = 'RAW' AND table_name = 'ORDERS'
  UNION ALL
  SELECT w.column_name || ' is missing' FROM (SELECT 'ID' AS column_name UNION ALL SELECT 'OK' UNION ALL SELECT 'SMALL' UNION ALL SELECT 'INT' UNION ALL SELECT 'REAL' UNION ALL SELECT 'DOUBLE' UNION ALL SELECT 'PRICE' UNION ALL SELECT 'UUID' UNION ALL SELECT 'JSON' UNION ALL SELECT 'JSONB' UNION ALL SELECT 'ARRAY' UNION ALL SELECT 'BYTES' UNION ALL SELECT 'DAY' UNION ALL SELECT 'MOMENT' UNION ALL SELECT 'INSTANT' UNION ALL SELECT 'TEXT' UNION ALL SELECT 'NUMERIC' UNION ALL SELECT 'INTERVAL' UNION ALL SELECT 'INET' UNION ALL SELECT 'INT4RANGE' UNION ALL SELECT 'MOOD' UNION ALL SELECT 'HSTORE') AS w
  WHERE w.column_name NOT IN (SELECT column_name FROM "ANALYTICS".INFORMATION_SCHEMA.COLUMNS WHERE table_schema = 'RAW' AND table_name = 'ORDERS')
) AS found
WHERE difference IS NOT NULL;

-- Staging table.
CREATE OR REPLACE TRANSIENT TABLE "ANALYTICS"."RAW"."ORDERS__SQLEXTRACT_27067F5C" (
  "ID" NUMBER(19,0),
  "OK" BOOLEAN,
  "SMALL" NUMBER(5,0),
  "INT" NUMBER(10,0),
  "REAL" FLOAT,
  "DOUBLE" FLOAT,
  "PRICE" NUMBER(10,2),
  "UUID" VARCHAR(36),
  "JSON" VARIANT,
  "JSONB" VARIANT,
  "ARRAY" VARIANT,
  "BYTES" BINARY(67108864),
  "DAY" DATE,
  "MOMENT" TIMESTAMP_NTZ(6),
  "INSTANT" TIMESTAMP_TZ(6),
  "TEXT" VARCHAR,
  "NUMERIC" VARCHAR,
  "INTERVAL" VARCHAR,
  "INET" VARCHAR,
  "INT4RANGE" VARCHAR,
  "MOOD" VARCHAR,
  "HSTORE" VARCHAR,
  "SQLEXTRACT_FILE" VARCHAR
);

-- Load.
COPY INTO "ANALYTICS"."RAW"."ORDERS__SQLEXTRACT_27067F5C" ("ID", "OK", "SMALL", "INT", "REAL", "DOUBLE", "PRICE", "UUID", "JSON", "JSONB", "ARRAY", "BYTES", "DAY", "MOMENT", "INSTANT", "TEXT", "NUMERIC", "INTERVAL", "INET", "INT4RANGE", "MOOD", "HSTORE", "SQLEXTRACT_FILE")
FROM (
  SELECT $1, $2, $3, $4, REPLACE($5, 'Infinity', 'inf')::FLOAT, REPLACE($6, 'Infinity', 'inf')::FLOAT, $7, $8, PARSE_JSON($9), PARSE_JSON($10), PARSE_JSON($11), TO_BINARY($12, 'HEX'), $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, METADATA$FILENAME
  FROM @"ANALYTICS"."RAW"."SQLEXTRACT_STAGE_27C505B1"/
)
FILES = (
  'orders-0123abcd/data/shop.orders/g0001/batch-0000000-00000000000000aa-00.csv',
  'orders-0123abcd/data/shop.orders/g0001/batch-0000001-00000000000000aa-00.csv'
)
FILE_FORMAT = (TYPE = CSV COMPRESSION = NONE FIELD_DELIMITER = ',' RECORD_DELIMITER = '\n' SKIP_HEADER = 1
  FIELD_OPTIONALLY_ENCLOSED_BY = '"' ESCAPE = NONE ESCAPE_UNENCLOSED_FIELD = NONE NULL_IF = () EMPTY_FIELD_AS_NULL = TRUE
  SKIP_BLANK_LINES = FALSE TRIM_SPACE = FALSE ENCODING = 'UTF8')
ON_ERROR = ABORT_STATEMENT;

-- Check: rows per file, then in all.
SELECT TO_NUMBER(IFF(COUNT(*) = 0, '0', 'RAW.ORDERS differs from the manifest: ' || LISTAGG(w.file_name || ' holds ' || COALESCE(h.row_count, 0) || ' rows, not ' || w.row_count, '; '))) AS wrong_files
FROM (
  SELECT 'batch-0000000-00000000000000aa-00.csv' AS file_name, 2 AS row_count
  UNION ALL SELECT 'batch-0000001-00000000000000aa-00.csv', 3
) AS w
LEFT JOIN (
  SELECT SPLIT_PART("SQLEXTRACT_FILE", '/', -1) AS file_name, COUNT(*) AS row_count FROM "ANALYTICS"."RAW"."ORDERS__SQLEXTRACT_27067F5C" GROUP BY 1
) AS h ON h.file_name = w.file_name
WHERE COALESCE(h.row_count, 0) <> w.row_count;
SELECT TO_NUMBER(IFF(COUNT(*) = 5, '5', 'RAW.ORDERS: ' || COUNT(*) || ' rows were loaded, the manifest says 5')) AS rows_loaded FROM "ANALYTICS"."RAW"."ORDERS__SQLEXTRACT_27067F5C";

-- Publish.
BEGIN TRANSACTION;
MERGE INTO "ANALYTICS"."RAW"."SQLEXTRACT_LOADS" AS l
USING (SELECT COUNT(*) AS row_count FROM "ANALYTICS"."RAW"."ORDERS__SQLEXTRACT_27067F5C") AS s
ON l."JOB" = 'orders-0123abcd' AND l."TABLE_NAME" = 'ORDERS'
WHEN NOT MATCHED AND s.row_count = 5 THEN INSERT ("JOB", "TABLE_NAME", "ROW_COUNT") VALUES ('orders-0123abcd', 'ORDERS', s.row_count);
INSERT INTO "ANALYTICS"."RAW"."ORDERS" ("ID", "OK", "SMALL", "INT", "REAL", "DOUBLE", "PRICE", "UUID", "JSON", "JSONB", "ARRAY", "BYTES", "DAY", "MOMENT", "INSTANT", "TEXT", "NUMERIC", "INTERVAL", "INET", "INT4RANGE", "MOOD", "HSTORE")
SELECT "ID", "OK", "SMALL", "INT", "REAL", "DOUBLE", "PRICE", "UUID", "JSON", "JSONB", "ARRAY", "BYTES", "DAY", "MOMENT", "INSTANT", "TEXT", "NUMERIC", "INTERVAL", "INET", "INT4RANGE", "MOOD", "HSTORE" FROM "ANALYTICS"."RAW"."ORDERS__SQLEXTRACT_27067F5C" WHERE EXISTS (SELECT 1 FROM "ANALYTICS"."RAW"."SQLEXTRACT_LOADS" WHERE "JOB" = 'orders-0123abcd' AND "TABLE_NAME" = 'ORDERS' AND "LOADED_AT" IS NULL);
UPDATE "ANALYTICS"."RAW"."SQLEXTRACT_LOADS" SET "LOADED_AT" = CURRENT_TIMESTAMP() WHERE "JOB" = 'orders-0123abcd' AND "TABLE_NAME" = 'ORDERS' AND "LOADED_AT" IS NULL;
COMMIT;
SELECT "ROW_COUNT", "LOADED_AT" FROM "ANALYTICS"."RAW"."SQLEXTRACT_LOADS" WHERE "JOB" = 'orders-0123abcd' AND "TABLE_NAME" = 'ORDERS';

-- Clean up.
DROP TABLE IF EXISTS "ANALYTICS"."RAW"."ORDERS__SQLEXTRACT_27067F5C";

-- ==== "RAW.EMPTY"

-- Schema, ledger, table, stage.
CREATE SCHEMA IF NOT EXISTS "ANALYTICS"."RAW";
CREATE TABLE IF NOT EXISTS "ANALYTICS"."RAW"."SQLEXTRACT_LOADS" (
  "JOB" VARCHAR NOT NULL,
  "TABLE_NAME" VARCHAR NOT NULL,
  "ROW_COUNT" NUMBER(19,0) NOT NULL,
  "LOADED_AT" TIMESTAMP_TZ(6)
);
CREATE TABLE IF NOT EXISTS "ANALYTICS"."RAW"."EMPTY" (
  "ID" NUMBER(10,0)
);
CREATE STAGE IF NOT EXISTS "ANALYTICS"."RAW"."SQLEXTRACT_STAGE_27C505B1" URL = 's3://lake/exports/' STORAGE_INTEGRATION = "LAKE";

-- Stops where the table is not what the extraction needs.
SELECT TO_NUMBER(IFF(COUNT(*) = 0, '0', 'RAW.EMPTY does not fit: ' || LISTAGG(difference, '; ') WITHIN GROUP (ORDER BY difference))) AS differences
FROM (
  SELECT column_name || CASE column_name
    WHEN 'ID' THEN CASE WHEN NOT (data_type = 'NUMBER' AND numeric_scale >= 0 AND numeric_precision - numeric_scale >= 10) THEN ' is ' || data_type || ', which cannot hold NUMBER(10,0)' END
    ELSE ' is not in the extraction' END AS difference
  FROM "ANALYTICS".INFORMATION_SCHEMA.COLUMNS WHERE table_schema = 'RAW' AND table_name = 'EMPTY'
  UNION ALL
  SELECT w.column_name || ' is missing' FROM (SELECT 'ID' AS column_name) AS w
  WHERE w.column_name NOT IN (SELECT column_name FROM "ANALYTICS".INFORMATION_SCHEMA.COLUMNS WHERE table_schema = 'RAW' AND table_name = 'EMPTY')
) AS found
WHERE difference IS NOT NULL;

-- Staging table.
CREATE OR REPLACE TRANSIENT TABLE "ANALYTICS"."RAW"."EMPTY__SQLEXTRACT_FB715385" (
  "ID" NUMBER(10,0),
  "SQLEXTRACT_FILE" VARCHAR
);

-- Check: rows per file, then in all.
SELECT TO_NUMBER(IFF(COUNT(*) = 0, '0', 'RAW.EMPTY: ' || COUNT(*) || ' rows were loaded, the manifest says 0')) AS rows_loaded FROM "ANALYTICS"."RAW"."EMPTY__SQLEXTRACT_FB715385";

-- Publish.
BEGIN TRANSACTION;
MERGE INTO "ANALYTICS"."RAW"."SQLEXTRACT_LOADS" AS l
USING (SELECT COUNT(*) AS row_count FROM "ANALYTICS"."RAW"."EMPTY__SQLEXTRACT_FB715385") AS s
ON l."JOB" = 'orders-0123abcd' AND l."TABLE_NAME" = 'EMPTY'
WHEN NOT MATCHED AND s.row_count = 0 THEN INSERT ("JOB", "TABLE_NAME", "ROW_COUNT") VALUES ('orders-0123abcd', 'EMPTY', s.row_count);
INSERT INTO "ANALYTICS"."RAW"."EMPTY" ("ID")
SELECT "ID" FROM "ANALYTICS"."RAW"."EMPTY__SQLEXTRACT_FB715385" WHERE EXISTS (SELECT 1 FROM "ANALYTICS"."RAW"."SQLEXTRACT_LOADS" WHERE "JOB" = 'orders-0123abcd' AND "TABLE_NAME" = 'EMPTY' AND "LOADED_AT" IS NULL);
UPDATE "ANALYTICS"."RAW"."SQLEXTRACT_LOADS" SET "LOADED_AT" = CURRENT_TIMESTAMP() WHERE "JOB" = 'orders-0123abcd' AND "TABLE_NAME" = 'EMPTY' AND "LOADED_AT" IS NULL;
COMMIT;
SELECT "ROW_COUNT", "LOADED_AT" FROM "ANALYTICS"."RAW"."SQLEXTRACT_LOADS" WHERE "JOB" = 'orders-0123abcd' AND "TABLE_NAME" = 'EMPTY';

-- Clean up.
DROP TABLE IF EXISTS "ANALYTICS"."RAW"."EMPTY__SQLEXTRACT_FB715385";
--
-- To take it back:
--   "RAW.ORDERS"
--     Before its COMMIT nothing has changed. Afterwards, within the table's retention time:
--     CREATE OR REPLACE TABLE "ANALYTICS"."RAW"."ORDERS" CLONE "ANALYTICS"."RAW"."ORDERS" BEFORE (STATEMENT => '<QUERY_ID of the MERGE INTO "ANALYTICS"."RAW"."SQLEXTRACT_LOADS">') COPY GRANTS;
--     and delete this job's row from the ledger, so that it can be loaded again.
--   "RAW.EMPTY"
--     Before its COMMIT nothing has changed. Afterwards, within the table's retention time:
--     CREATE OR REPLACE TABLE "ANALYTICS"."RAW"."EMPTY" CLONE "ANALYTICS"."RAW"."EMPTY" BEFORE (STATEMENT => '<QUERY_ID of the MERGE INTO "ANALYTICS"."RAW"."SQLEXTRACT_LOADS">') COPY GRANTS;
--     and delete this job's row from the ledger, so that it can be loaded again.
