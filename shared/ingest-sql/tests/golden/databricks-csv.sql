-- Loads an extraction into Databricks. Written by sqlextract VERSION.
--
-- Run it in the SQL editor, a notebook or a SQL task of a job, in Unity Catalog (runtime 13.3 or newer). It stops at
-- the first statement that fails.
--
-- Each table is loaded beside its target, counted, and published in one commit. A second run changes nothing:
-- COPY INTO takes every file once.
--
-- Note:
--   "shop.empty" has one column, and Spark skips the empty line that a NULL is in CSV: the count will stop the script if there is one.
--
-- job: "orders-0123abcd"
-- finished: "2026-01-02T03:05:05Z"
-- manifest: "s3://lake/exports/orders-0123abcd/manifest.json"
-- manifest sha256: 05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f
-- mode: append
-- table: "shop.orders" from "shop.orders", rows: 5, chunks: 2
-- table: "shop.empty" from "shop.empty", rows: 0, chunks: 0

USE CATALOG `main`;

-- ==== "shop.orders"

-- Schema and table.
CREATE SCHEMA IF NOT EXISTS `main`.`shop`;
CREATE TABLE IF NOT EXISTS `main`.`shop`.`orders` (
  `id` BIGINT NOT NULL,
  `ok` BOOLEAN,
  `small` SMALLINT,
  `int` INT,
  `real` FLOAT,
  `double` DOUBLE,
  `price` DECIMAL(10,2),
  `uuid` STRING,
  `json` STRING,
  `jsonb` STRING,
  `array` STRING,
  `bytes` BINARY,
  `day` DATE,
  `moment` TIMESTAMP_NTZ,
  `instant` TIMESTAMP,
  `text` STRING,
  `numeric` STRING,
  `interval` STRING,
  `inet` STRING,
  `int4range` STRING,
  `mood` STRING,
  `hstore` STRING
) USING DELTA;

-- Stops where the table is not what the extraction needs.
SELECT assert_true(COUNT(*) = 0, 'shop.orders does not fit: ' || array_join(array_sort(collect_list(difference)), '; ')) AS comparison
FROM (
  SELECT column_name || CASE lower(column_name)
    WHEN 'id' THEN CASE WHEN NOT (upper(full_data_type) IN ('BIGINT')) THEN ' is ' || full_data_type || ', which cannot hold BIGINT' END
    WHEN 'ok' THEN CASE WHEN NOT (upper(full_data_type) IN ('BOOLEAN')) THEN ' is ' || full_data_type || ', which cannot hold BOOLEAN' END
    WHEN 'small' THEN CASE WHEN NOT (upper(full_data_type) IN ('SMALLINT', 'INT', 'BIGINT')) THEN ' is ' || full_data_type || ', which cannot hold SMALLINT' END
    WHEN 'int' THEN CASE WHEN NOT (upper(full_data_type) IN ('INT', 'BIGINT')) THEN ' is ' || full_data_type || ', which cannot hold INT' END
    WHEN 'real' THEN CASE WHEN NOT (upper(full_data_type) IN ('FLOAT', 'DOUBLE')) THEN ' is ' || full_data_type || ', which cannot hold FLOAT' END
    WHEN 'double' THEN CASE WHEN NOT (upper(full_data_type) IN ('DOUBLE')) THEN ' is ' || full_data_type || ', which cannot hold DOUBLE' END
    WHEN 'price' THEN CASE WHEN NOT (upper(full_data_type) LIKE 'DECIMAL(%' AND numeric_scale >= 2 AND numeric_precision - numeric_scale >= 8) THEN ' is ' || full_data_type || ', which cannot hold DECIMAL(10,2)' END
    WHEN 'uuid' THEN CASE WHEN NOT (upper(full_data_type) IN ('STRING')) THEN ' is ' || full_data_type || ', which cannot hold STRING' END
    WHEN 'json' THEN CASE WHEN NOT (upper(full_data_type) IN ('STRING')) THEN ' is ' || full_data_type || ', which cannot hold STRING' END
    WHEN 'jsonb' THEN CASE WHEN NOT (upper(full_data_type) IN ('STRING')) THEN ' is ' || full_data_type || ', which cannot hold STRING' END
    WHEN 'array' THEN CASE WHEN NOT (upper(full_data_type) IN ('STRING')) THEN ' is ' || full_data_type || ', which cannot hold STRING' END
    WHEN 'bytes' THEN CASE WHEN NOT (upper(full_data_type) IN ('BINARY')) THEN ' is ' || full_data_type || ', which cannot hold BINARY' END
    WHEN 'day' THEN CASE WHEN NOT (upper(full_data_type) IN ('DATE')) THEN ' is ' || full_data_type || ', which cannot hold DATE' END
    WHEN 'moment' THEN CASE WHEN NOT (upper(full_data_type) IN ('TIMESTAMP_NTZ')) THEN ' is ' || full_data_type || ', which cannot hold TIMESTAMP_NTZ' END
    WHEN 'instant' THEN CASE WHEN NOT (upper(full_data_type) IN ('TIMESTAMP')) THEN ' is ' || full_data_type || ', which cannot hold TIMESTAMP' END
    WHEN 'text' THEN CASE WHEN NOT (upper(full_data_type) IN ('STRING')) THEN ' is ' || full_data_type || ', which cannot hold STRING' END
    WHEN 'numeric' THEN CASE WHEN NOT (upper(full_data_type) IN ('STRING')) THEN ' is ' || full_data_type || ', which cannot hold STRING' END
    WHEN 'interval' THEN CASE WHEN NOT (upper(full_data_type) IN ('STRING')) THEN ' is ' || full_data_type || ', which cannot hold STRING' END
    WHEN 'inet' THEN CASE WHEN NOT (upper(full_data_type) IN ('STRING')) THEN ' is ' || full_data_type || ', which cannot hold STRING' END
    WHEN 'int4range' THEN CASE WHEN NOT (upper(full_data_type) IN ('STRING')) THEN ' is ' || full_data_type || ', which cannot hold STRING' END
    WHEN 'mood' THEN CASE WHEN NOT (upper(full_data_type) IN ('STRING')) THEN ' is ' || full_data_type || ', which cannot hold STRING' END
    WHEN 'hstore' THEN CASE WHEN NOT (upper(full_data_type) IN ('STRING')) THEN ' is ' || full_data_type || ', which cannot hold STRING' END
    ELSE ' is not in the extraction' END AS difference
  FROM `main`.information_schema.columns WHERE table_schema = 'shop' AND table_name = 'orders'
  UNION ALL
  SELECT w.column_name || ' is missing' FROM (SELECT 'id' AS column_name UNION ALL SELECT 'ok' UNION ALL SELECT 'small' UNION ALL SELECT 'int' UNION ALL SELECT 'real' UNION ALL SELECT 'double' UNION ALL SELECT 'price' UNION ALL SELECT 'uuid' UNION ALL SELECT 'json' UNION ALL SELECT 'jsonb' UNION ALL SELECT 'array' UNION ALL SELECT 'bytes' UNION ALL SELECT 'day' UNION ALL SELECT 'moment' UNION ALL SELECT 'instant' UNION ALL SELECT 'text' UNION ALL SELECT 'numeric' UNION ALL SELECT 'interval' UNION ALL SELECT 'inet' UNION ALL SELECT 'int4range' UNION ALL SELECT 'mood' UNION ALL SELECT 'hstore') AS w
  WHERE w.column_name NOT IN (SELECT lower(column_name) FROM `main`.information_schema.columns WHERE table_schema = 'shop' AND table_name = 'orders')
) AS found
WHERE difference IS NOT NULL;

-- Staging table, new: COPY INTO remembers files per table.
DROP TABLE IF EXISTS `main`.`shop`.`orders__sqlextract_27067f5c`;
CREATE TABLE `main`.`shop`.`orders__sqlextract_27067f5c` (
  `id` BIGINT,
  `ok` BOOLEAN,
  `small` SMALLINT,
  `int` INT,
  `real` FLOAT,
  `double` DOUBLE,
  `price` DECIMAL(10,2),
  `uuid` STRING,
  `json` STRING,
  `jsonb` STRING,
  `array` STRING,
  `bytes` BINARY,
  `day` DATE,
  `moment` TIMESTAMP_NTZ,
  `instant` TIMESTAMP,
  `text` STRING,
  `numeric` STRING,
  `interval` STRING,
  `inet` STRING,
  `int4range` STRING,
  `mood` STRING,
  `hstore` STRING,
  `_sqlextract_file` STRING
) USING DELTA;

-- Load.
COPY INTO `main`.`shop`.`orders__sqlextract_27067f5c`
FROM (
  SELECT CAST(`id` AS BIGINT) AS `id`, CAST(`ok` AS BOOLEAN) AS `ok`, CAST(`small` AS SMALLINT) AS `small`, CAST(`int` AS INT) AS `int`, CAST(`real` AS FLOAT) AS `real`, CAST(`double` AS DOUBLE) AS `double`, CAST(`price` AS DECIMAL(10,2)) AS `price`, CAST(`uuid` AS STRING) AS `uuid`, CAST(`json` AS STRING) AS `json`, CAST(`jsonb` AS STRING) AS `jsonb`, CAST(`array` AS STRING) AS `array`, unhex(`bytes`) AS `bytes`, CAST(`day` AS DATE) AS `day`, CAST(`moment` AS TIMESTAMP_NTZ) AS `moment`, CAST(`instant` AS TIMESTAMP) AS `instant`, CAST(`text` AS STRING) AS `text`, CAST(`numeric` AS STRING) AS `numeric`, CAST(`interval` AS STRING) AS `interval`, CAST(`inet` AS STRING) AS `inet`, CAST(`int4range` AS STRING) AS `int4range`, CAST(`mood` AS STRING) AS `mood`, CAST(`hstore` AS STRING) AS `hstore`, _metadata.file_name AS `_sqlextract_file`
  FROM 's3://lake/exports/orders-0123abcd/data/shop.orders/g0001/'
)
FILEFORMAT = CSV
FILES = (
  'batch-0000000-00000000000000aa-00.csv',
  'batch-0000001-00000000000000aa-00.csv'
)
FORMAT_OPTIONS (
  'header' = 'true', 'inferSchema' = 'false', 'sep' = ',', 'quote' = '"', 'escape' = '"', 'multiLine' = 'true',
  'nullValue' = 'sqlextract-null-05b3abf2579a5eb66403cd78be557fd8', 'encoding' = 'UTF-8', 'mode' = 'FAILFAST'
)
COPY_OPTIONS ('mergeSchema' = 'false', 'force' = 'false');

-- Check: rows per file, then in all.
SELECT assert_true(COUNT(*) = 0, 'shop.orders differs from the manifest: ' || array_join(array_sort(collect_list(w.file_name || ' holds ' || COALESCE(h.row_count, 0) || ' rows, not ' || w.row_count)), '; ')) AS wrong_files
FROM (VALUES
  ('batch-0000000-00000000000000aa-00.csv', 2),
  ('batch-0000001-00000000000000aa-00.csv', 3)
) AS w (file_name, row_count)
LEFT JOIN (
  SELECT `_sqlextract_file` AS file_name, COUNT(*) AS row_count FROM `main`.`shop`.`orders__sqlextract_27067f5c` GROUP BY `_sqlextract_file`
) AS h ON h.file_name = w.file_name
WHERE COALESCE(h.row_count, 0) <> w.row_count;
SELECT assert_true(COUNT(*) = 5, 'shop.orders: ' || COUNT(*) || ' rows were loaded, the manifest says 5') AS rows_loaded FROM `main`.`shop`.`orders__sqlextract_27067f5c`;

-- Publish.
COPY INTO `main`.`shop`.`orders`
FROM (
  SELECT CAST(`id` AS BIGINT) AS `id`, CAST(`ok` AS BOOLEAN) AS `ok`, CAST(`small` AS SMALLINT) AS `small`, CAST(`int` AS INT) AS `int`, CAST(`real` AS FLOAT) AS `real`, CAST(`double` AS DOUBLE) AS `double`, CAST(`price` AS DECIMAL(10,2)) AS `price`, CAST(`uuid` AS STRING) AS `uuid`, CAST(`json` AS STRING) AS `json`, CAST(`jsonb` AS STRING) AS `jsonb`, CAST(`array` AS STRING) AS `array`, unhex(`bytes`) AS `bytes`, CAST(`day` AS DATE) AS `day`, CAST(`moment` AS TIMESTAMP_NTZ) AS `moment`, CAST(`instant` AS TIMESTAMP) AS `instant`, CAST(`text` AS STRING) AS `text`, CAST(`numeric` AS STRING) AS `numeric`, CAST(`interval` AS STRING) AS `interval`, CAST(`inet` AS STRING) AS `inet`, CAST(`int4range` AS STRING) AS `int4range`, CAST(`mood` AS STRING) AS `mood`, CAST(`hstore` AS STRING) AS `hstore`
  FROM 's3://lake/exports/orders-0123abcd/data/shop.orders/g0001/'
)
FILEFORMAT = CSV
FILES = (
  'batch-0000000-00000000000000aa-00.csv',
  'batch-0000001-00000000000000aa-00.csv'
)
FORMAT_OPTIONS (
  'header' = 'true', 'inferSchema' = 'false', 'sep' = ',', 'quote' = '"', 'escape' = '"', 'multiLine' = 'true',
  'nullValue' = 'sqlextract-null-05b3abf2579a5eb66403cd78be557fd8', 'encoding' = 'UTF-8', 'mode' = 'FAILFAST'
)
COPY_OPTIONS ('mergeSchema' = 'false', 'force' = 'false');

-- Clean up.
DROP TABLE IF EXISTS `main`.`shop`.`orders__sqlextract_27067f5c`;

-- ==== "shop.empty"

-- Schema and table.
CREATE SCHEMA IF NOT EXISTS `main`.`shop`;
CREATE TABLE IF NOT EXISTS `main`.`shop`.`empty` (
  `id` INT
) USING DELTA;

-- Stops where the table is not what the extraction needs.
SELECT assert_true(COUNT(*) = 0, 'shop.empty does not fit: ' || array_join(array_sort(collect_list(difference)), '; ')) AS comparison
FROM (
  SELECT column_name || CASE lower(column_name)
    WHEN 'id' THEN CASE WHEN NOT (upper(full_data_type) IN ('INT', 'BIGINT')) THEN ' is ' || full_data_type || ', which cannot hold INT' END
    ELSE ' is not in the extraction' END AS difference
  FROM `main`.information_schema.columns WHERE table_schema = 'shop' AND table_name = 'empty'
  UNION ALL
  SELECT w.column_name || ' is missing' FROM (SELECT 'id' AS column_name) AS w
  WHERE w.column_name NOT IN (SELECT lower(column_name) FROM `main`.information_schema.columns WHERE table_schema = 'shop' AND table_name = 'empty')
) AS found
WHERE difference IS NOT NULL;

-- Staging table, new: COPY INTO remembers files per table.
DROP TABLE IF EXISTS `main`.`shop`.`empty__sqlextract_fb715385`;
CREATE TABLE `main`.`shop`.`empty__sqlextract_fb715385` (
  `id` INT,
  `_sqlextract_file` STRING
) USING DELTA;

-- Check: rows per file, then in all.
SELECT assert_true(COUNT(*) = 0, 'shop.empty: ' || COUNT(*) || ' rows were loaded, the manifest says 0') AS rows_loaded FROM `main`.`shop`.`empty__sqlextract_fb715385`;

-- Clean up.
DROP TABLE IF EXISTS `main`.`shop`.`empty__sqlextract_fb715385`;
--
-- To take it back:
--   "shop.orders"
--     Each table's load is one version, or one per statement when appending:
--     DESCRIBE HISTORY `main`.`shop`.`orders`;
--     RESTORE TABLE `main`.`shop`.`orders` TO VERSION AS OF <VERSION before the load>;
--     An appended file stays known to COPY INTO; load it again with 'force' = 'true'.
--   "shop.empty"
--     Each table's load is one version, or one per statement when appending:
--     DESCRIBE HISTORY `main`.`shop`.`empty`;
--     RESTORE TABLE `main`.`shop`.`empty` TO VERSION AS OF <VERSION before the load>;
--     An appended file stays known to COPY INTO; load it again with 'force' = 'true'.
