-- Loads an extraction into Databricks. Written by sqlextract VERSION.
--
-- Run it in the SQL editor, a notebook or a SQL task of a job, in Unity Catalog (runtime 15.2 or newer). It stops at
-- the first statement that fails.
--
-- Each table is loaded beside its target, counted, and published in one commit. A second run changes nothing:
-- COPY INTO takes every file once.
--
-- job: "orders-0123abcd"
-- finished: "2026-01-02T03:05:05Z"
-- manifest: "s3://lake/exports/orders-0123abcd/manifest.json"
-- manifest sha256: 05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f
-- mode: append
-- table: "shop.notes" from "shop.notes", rows: 2, chunks: 1

USE CATALOG `main`;

-- ==== "shop.notes"

-- Schema and table.
CREATE SCHEMA IF NOT EXISTS `main`.`shop`;
CREATE TABLE IF NOT EXISTS `main`.`shop`.`notes` (
  `id` BIGINT,
  `note` STRING,
  `photo` BINARY
) USING DELTA;

-- Columns that the table does not have: no row is merged, and its schema takes them on.
MERGE WITH SCHEMA EVOLUTION INTO `main`.`shop`.`notes` AS t
USING (SELECT
  CAST(NULL AS BIGINT) AS `id`,
  CAST(NULL AS STRING) AS `note`,
  CAST(NULL AS BINARY) AS `photo`
  WHERE 1 = 0) AS s
ON FALSE
WHEN NOT MATCHED THEN INSERT *;

-- Stops where the table is not what the extraction needs.
SELECT assert_true(COUNT(*) = 0, 'shop.notes does not fit: ' || array_join(array_sort(collect_list(difference)), '; ')) AS comparison
FROM (
  SELECT column_name || CASE lower(column_name)
    WHEN 'id' THEN CASE WHEN NOT (upper(full_data_type) IN ('BIGINT')) THEN ' is ' || full_data_type || ', which cannot hold BIGINT' END
    WHEN 'note' THEN CASE WHEN NOT (upper(full_data_type) IN ('STRING')) THEN ' is ' || full_data_type || ', which cannot hold STRING' END
    WHEN 'photo' THEN CASE WHEN NOT (upper(full_data_type) IN ('BINARY')) THEN ' is ' || full_data_type || ', which cannot hold BINARY' END
    ELSE ' is not in the extraction' END AS difference
  FROM `main`.information_schema.columns WHERE table_schema = 'shop' AND table_name = 'notes'
  UNION ALL
  SELECT w.column_name || ' is missing' FROM (SELECT 'id' AS column_name UNION ALL SELECT 'note' UNION ALL SELECT 'photo') AS w
  WHERE w.column_name NOT IN (SELECT lower(column_name) FROM `main`.information_schema.columns WHERE table_schema = 'shop' AND table_name = 'notes')
) AS found
WHERE difference IS NOT NULL;

-- Staging table, new: COPY INTO remembers files per table.
DROP TABLE IF EXISTS `main`.`shop`.`notes__sqlextract_4049a60b`;
CREATE TABLE `main`.`shop`.`notes__sqlextract_4049a60b` (
  `id` BIGINT,
  `note` STRING,
  `photo` BINARY,
  `_sqlextract_file` STRING
) USING DELTA;

-- Load.
COPY INTO `main`.`shop`.`notes__sqlextract_4049a60b`
FROM (
  SELECT CAST(`id` AS BIGINT) AS `id`, CAST(`note` AS STRING) AS `note`, unhex(`photo`) AS `photo`, _metadata.file_name AS `_sqlextract_file`
  FROM 's3://lake/exports/orders-0123abcd/data/shop.notes/g0001/'
)
FILEFORMAT = CSV
FILES = (
  'batch-0000000-00000000000000aa-00.csv'
)
FORMAT_OPTIONS (
  'header' = 'true', 'inferSchema' = 'false', 'sep' = ',', 'quote' = '"', 'escape' = '"', 'multiLine' = 'true',
  'nullValue' = 'sqlextract-null-05b3abf2579a5eb66403cd78be557fd8', 'encoding' = 'UTF-8', 'mode' = 'FAILFAST'
)
COPY_OPTIONS ('mergeSchema' = 'false', 'force' = 'false');

-- Check: rows per file, then in all.
SELECT assert_true(COUNT(*) = 0, 'shop.notes differs from the manifest: ' || array_join(array_sort(collect_list(w.file_name || ' holds ' || COALESCE(h.row_count, 0) || ' rows, not ' || w.row_count)), '; ')) AS wrong_files
FROM (VALUES
  ('batch-0000000-00000000000000aa-00.csv', 2)
) AS w (file_name, row_count)
LEFT JOIN (
  SELECT `_sqlextract_file` AS file_name, COUNT(*) AS row_count FROM `main`.`shop`.`notes__sqlextract_4049a60b` GROUP BY `_sqlextract_file`
) AS h ON h.file_name = w.file_name
WHERE COALESCE(h.row_count, 0) <> w.row_count;
SELECT assert_true(COUNT(*) = 2, 'shop.notes: ' || COUNT(*) || ' rows were loaded, the manifest says 2') AS rows_loaded FROM `main`.`shop`.`notes__sqlextract_4049a60b`;

-- Publish.
COPY INTO `main`.`shop`.`notes`
FROM (
  SELECT CAST(`id` AS BIGINT) AS `id`, CAST(`note` AS STRING) AS `note`, unhex(`photo`) AS `photo`
  FROM 's3://lake/exports/orders-0123abcd/data/shop.notes/g0001/'
)
FILEFORMAT = CSV
FILES = (
  'batch-0000000-00000000000000aa-00.csv'
)
FORMAT_OPTIONS (
  'header' = 'true', 'inferSchema' = 'false', 'sep' = ',', 'quote' = '"', 'escape' = '"', 'multiLine' = 'true',
  'nullValue' = 'sqlextract-null-05b3abf2579a5eb66403cd78be557fd8', 'encoding' = 'UTF-8', 'mode' = 'FAILFAST'
)
COPY_OPTIONS ('mergeSchema' = 'false', 'force' = 'false');

-- Clean up.
DROP TABLE IF EXISTS `main`.`shop`.`notes__sqlextract_4049a60b`;
--
-- To take it back:
--   "shop.notes"
--     Each table's load is one version, or one per statement when appending:
--     DESCRIBE HISTORY `main`.`shop`.`notes`;
--     RESTORE TABLE `main`.`shop`.`notes` TO VERSION AS OF <VERSION before the load>;
--     An appended file stays known to COPY INTO; load it again with 'force' = 'true'.
