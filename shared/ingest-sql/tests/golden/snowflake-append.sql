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
-- table: "RAW.NOTES" from "shop.notes", rows: 2, chunks: 1

USE WAREHOUSE "LOADING";
USE DATABASE "ANALYTICS";
ALTER SESSION SET TIMEZONE = 'UTC';
ALTER SESSION SET TRANSACTION_ABORT_ON_ERROR = TRUE;

-- ==== "RAW.NOTES"

-- Schema, ledger, table, stage.
CREATE SCHEMA IF NOT EXISTS "ANALYTICS"."RAW";
CREATE TABLE IF NOT EXISTS "ANALYTICS"."RAW"."SQLEXTRACT_LOADS" (
  "JOB" VARCHAR NOT NULL,
  "TABLE_NAME" VARCHAR NOT NULL,
  "ROW_COUNT" NUMBER(19,0) NOT NULL,
  "LOADED_AT" TIMESTAMP_TZ(6)
);
CREATE TABLE IF NOT EXISTS "ANALYTICS"."RAW"."NOTES" (
  "ID" NUMBER(19,0),
  "NOTE" VARCHAR,
  "PHOTO" BINARY(67108864)
);
CREATE STAGE IF NOT EXISTS "ANALYTICS"."RAW"."SQLEXTRACT_STAGE_27C505B1" URL = 's3://lake/exports/' STORAGE_INTEGRATION = "LAKE";

-- Columns that the table does not have yet.
ALTER TABLE "ANALYTICS"."RAW"."NOTES" ADD COLUMN IF NOT EXISTS "ID" NUMBER(19,0);
ALTER TABLE "ANALYTICS"."RAW"."NOTES" ADD COLUMN IF NOT EXISTS "NOTE" VARCHAR;
ALTER TABLE "ANALYTICS"."RAW"."NOTES" ADD COLUMN IF NOT EXISTS "PHOTO" BINARY(67108864);

-- Stops where the table is not what the extraction needs.
SELECT TO_NUMBER(IFF(COUNT(*) = 0, '0', 'RAW.NOTES does not fit: ' || LISTAGG(difference, '; ') WITHIN GROUP (ORDER BY difference))) AS differences
FROM (
  SELECT column_name || CASE column_name
    WHEN 'ID' THEN CASE WHEN NOT (data_type = 'NUMBER' AND numeric_scale >= 0 AND numeric_precision - numeric_scale >= 19) THEN ' is ' || data_type || ', which cannot hold NUMBER(19,0)' END
    WHEN 'NOTE' THEN CASE WHEN NOT (data_type = 'TEXT' AND character_maximum_length >= 16777216) THEN ' is ' || data_type || ', which cannot hold VARCHAR' END
    WHEN 'PHOTO' THEN CASE WHEN NOT (data_type = 'BINARY') THEN ' is ' || data_type || ', which cannot hold BINARY(67108864)' END
    ELSE ' is not in the extraction' END AS difference
  FROM "ANALYTICS".INFORMATION_SCHEMA.COLUMNS WHERE table_schema = 'RAW' AND table_name = 'NOTES'
  UNION ALL
  SELECT w.column_name || ' is missing' FROM (SELECT 'ID' AS column_name UNION ALL SELECT 'NOTE' UNION ALL SELECT 'PHOTO') AS w
  WHERE w.column_name NOT IN (SELECT column_name FROM "ANALYTICS".INFORMATION_SCHEMA.COLUMNS WHERE table_schema = 'RAW' AND table_name = 'NOTES')
) AS found
WHERE difference IS NOT NULL;

-- Staging table.
CREATE OR REPLACE TRANSIENT TABLE "ANALYTICS"."RAW"."NOTES__SQLEXTRACT_4049A60B" (
  "ID" NUMBER(19,0),
  "NOTE" VARCHAR,
  "PHOTO" BINARY(67108864),
  "SQLEXTRACT_FILE" VARCHAR
);

-- Load.
COPY INTO "ANALYTICS"."RAW"."NOTES__SQLEXTRACT_4049A60B" ("ID", "NOTE", "PHOTO", "SQLEXTRACT_FILE")
FROM (
  SELECT $1, $2, TO_BINARY($3, 'HEX'), METADATA$FILENAME
  FROM @"ANALYTICS"."RAW"."SQLEXTRACT_STAGE_27C505B1"/
)
FILES = (
  'orders-0123abcd/data/shop.notes/g0001/batch-0000000-00000000000000aa-00.csv'
)
FILE_FORMAT = (TYPE = CSV COMPRESSION = NONE FIELD_DELIMITER = ',' RECORD_DELIMITER = '\n' SKIP_HEADER = 1
  FIELD_OPTIONALLY_ENCLOSED_BY = '"' ESCAPE = NONE ESCAPE_UNENCLOSED_FIELD = NONE NULL_IF = () EMPTY_FIELD_AS_NULL = TRUE
  SKIP_BLANK_LINES = FALSE TRIM_SPACE = FALSE ENCODING = 'UTF8')
ON_ERROR = ABORT_STATEMENT;

-- Check: rows per file, then in all.
SELECT TO_NUMBER(IFF(COUNT(*) = 0, '0', 'RAW.NOTES differs from the manifest: ' || LISTAGG(w.file_name || ' holds ' || COALESCE(h.row_count, 0) || ' rows, not ' || w.row_count, '; '))) AS wrong_files
FROM (
  SELECT 'batch-0000000-00000000000000aa-00.csv' AS file_name, 2 AS row_count
) AS w
LEFT JOIN (
  SELECT SPLIT_PART("SQLEXTRACT_FILE", '/', -1) AS file_name, COUNT(*) AS row_count FROM "ANALYTICS"."RAW"."NOTES__SQLEXTRACT_4049A60B" GROUP BY 1
) AS h ON h.file_name = w.file_name
WHERE COALESCE(h.row_count, 0) <> w.row_count;
SELECT TO_NUMBER(IFF(COUNT(*) = 2, '2', 'RAW.NOTES: ' || COUNT(*) || ' rows were loaded, the manifest says 2')) AS rows_loaded FROM "ANALYTICS"."RAW"."NOTES__SQLEXTRACT_4049A60B";

-- Publish.
BEGIN TRANSACTION;
MERGE INTO "ANALYTICS"."RAW"."SQLEXTRACT_LOADS" AS l
USING (SELECT COUNT(*) AS row_count FROM "ANALYTICS"."RAW"."NOTES__SQLEXTRACT_4049A60B") AS s
ON l."JOB" = 'orders-0123abcd' AND l."TABLE_NAME" = 'NOTES'
WHEN NOT MATCHED AND s.row_count = 2 THEN INSERT ("JOB", "TABLE_NAME", "ROW_COUNT") VALUES ('orders-0123abcd', 'NOTES', s.row_count);
INSERT INTO "ANALYTICS"."RAW"."NOTES" ("ID", "NOTE", "PHOTO")
SELECT "ID", "NOTE", "PHOTO" FROM "ANALYTICS"."RAW"."NOTES__SQLEXTRACT_4049A60B" WHERE EXISTS (SELECT 1 FROM "ANALYTICS"."RAW"."SQLEXTRACT_LOADS" WHERE "JOB" = 'orders-0123abcd' AND "TABLE_NAME" = 'NOTES' AND "LOADED_AT" IS NULL);
UPDATE "ANALYTICS"."RAW"."SQLEXTRACT_LOADS" SET "LOADED_AT" = CURRENT_TIMESTAMP() WHERE "JOB" = 'orders-0123abcd' AND "TABLE_NAME" = 'NOTES' AND "LOADED_AT" IS NULL;
COMMIT;
SELECT "ROW_COUNT", "LOADED_AT" FROM "ANALYTICS"."RAW"."SQLEXTRACT_LOADS" WHERE "JOB" = 'orders-0123abcd' AND "TABLE_NAME" = 'NOTES';

-- Clean up.
DROP TABLE IF EXISTS "ANALYTICS"."RAW"."NOTES__SQLEXTRACT_4049A60B";
--
-- To take it back:
--   "RAW.NOTES"
--     Before its COMMIT nothing has changed. Afterwards, within the table's retention time:
--     CREATE OR REPLACE TABLE "ANALYTICS"."RAW"."NOTES" CLONE "ANALYTICS"."RAW"."NOTES" BEFORE (STATEMENT => '<QUERY_ID of the MERGE INTO "ANALYTICS"."RAW"."SQLEXTRACT_LOADS">') COPY GRANTS;
--     and delete this job's row from the ledger, so that it can be loaded again.
