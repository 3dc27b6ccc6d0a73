#!/usr/bin/env bash
# Loads an extraction into SQL Server. Written by sqlextract VERSION.
#
# Run it with bash, where sqlcmd is; sqlcmd's own variables say which server:
#
#   SQLCMDSERVER=… SQLCMDUSER=… SQLCMDPASSWORD=… bash FILE
#
# Sessions load chunk by chunk and try again what may pass; only then one transaction publishes. A second run
# loads only what is missing, or says that there is nothing to do.
#
# Note:
#   The server itself reads "/srv/lake": the folder must be one that it sees. On Linux servers replace CODEPAGE = '65001' by 'RAW'.
#   How SQL Server reads a quoted empty text ("") is not documented: where NULL and the empty text must differ, extract as Parquet.
#   8 loads at once were asked for, and there are 2 files: extract with a smaller `--chunk-size` or `--batch-size` for more.
#
# job: "orders-0123abcd"
# finished: "2026-01-02T03:05:05Z"
# manifest: "/srv/lake/orders-0123abcd/manifest.json"
# manifest sha256: 05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f
# mode: append
# table: "shop.orders" from "shop.orders", rows: 5, chunks: 2
# table: "shop.empty" from "shop.empty", rows: 0, chunks: 0
#
# To take it back:
#   "shop.orders"
#     Before its COMMIT nothing has changed. Afterwards restore a backup; where the table was empty before:
#     TRUNCATE TABLE [shop].[orders];
#     and delete this job's row from the ledger, so that it can be loaded again.
#   "shop.empty"
#     Before its COMMIT nothing has changed. Afterwards restore a backup; where the table was empty before:
#     TRUNCATE TABLE [shop].[empty];
#     and delete this job's row from the ledger, so that it can be loaded again.

set -euo pipefail
sessions=${SQLEXTRACT_SESSIONS:-8}
tries=${SQLEXTRACT_TRIES:-5}
log=${SQLEXTRACT_LOG:-sqlextract-orders-0123abcd.log}

client() { sqlcmd -b -x -r 1 -i "$1"; }

# Whether trying again cannot help, by what the client said.
lasts() { grep -Eq 'Msg [0-9]+' "$1" && ! grep -Eq 'Msg (1204|1205|1222|233|10053|10054|10060|40197|40501|40613|49918|49919|49920)[, ]' "$1"; }

# What a step loads, for the log.
about() {
  case $1 in
    1) echo 'data/shop.orders/g0001/batch-0000000-00000000000000aa-00.csv' ;;
    2) echo 'data/shop.orders/g0001/batch-0000001-00000000000000aa-00.csv' ;;
    *) echo 'all tables' ;;
  esac
}

# The statements of a step.
statements() {
  case $1 in
    prologue)
      cat <<'SQLEXTRACT_END_OF_STEP'
SET NOCOUNT ON;
SET XACT_ABORT ON;
SET QUOTED_IDENTIFIER ON;
GO
USE [analytics];
GO

-- ==== "shop.orders"

-- Schema, ledger, table.
IF SCHEMA_ID(N'shop') IS NULL EXEC (N'CREATE SCHEMA [shop]');
GO
IF OBJECT_ID(N'[shop].[sqlextract_loads]', N'U') IS NULL
CREATE TABLE [shop].[sqlextract_loads] (
  job NVARCHAR(120) NOT NULL,
  table_name NVARCHAR(128) NOT NULL,
  row_count BIGINT NOT NULL,
  loaded_at DATETIMEOFFSET(6) NOT NULL DEFAULT SYSDATETIMEOFFSET(),
  PRIMARY KEY (job, table_name)
);
IF OBJECT_ID(N'[shop].[sqlextract_chunks]', N'U') IS NULL
CREATE TABLE [shop].[sqlextract_chunks] (
  job NVARCHAR(120) NOT NULL,
  chunk NVARCHAR(300) NOT NULL,
  row_count BIGINT NOT NULL,
  loaded_at DATETIMEOFFSET(6) NOT NULL DEFAULT SYSDATETIMEOFFSET(),
  PRIMARY KEY (job, chunk)
);
IF OBJECT_ID(N'[shop].[orders]', N'U') IS NULL
CREATE TABLE [shop].[orders] (
  [id] BIGINT NOT NULL,
  [ok] BIT NULL,
  [small] SMALLINT NULL,
  [int] INT NULL,
  [real] REAL NULL,
  [double] FLOAT(53) NULL,
  [price] DECIMAL(10,2) NULL,
  [uuid] UNIQUEIDENTIFIER NULL,
  [json] NVARCHAR(MAX) NULL,
  [jsonb] NVARCHAR(MAX) NULL,
  [array] NVARCHAR(MAX) NULL,
  [bytes] VARBINARY(MAX) NULL,
  [day] DATE NULL,
  [moment] DATETIME2(6) NULL,
  [instant] DATETIMEOFFSET(6) NULL,
  [text] NVARCHAR(MAX) NULL,
  [numeric] NVARCHAR(MAX) NULL,
  [interval] NVARCHAR(MAX) NULL,
  [inet] NVARCHAR(MAX) NULL,
  [int4range] NVARCHAR(MAX) NULL,
  [mood] NVARCHAR(MAX) NULL,
  [hstore] NVARCHAR(MAX) NULL
);
GO

-- Stops where the table is not what the extraction needs.
DECLARE @difference NVARCHAR(MAX) = (
SELECT STRING_AGG(CAST(difference AS NVARCHAR(MAX)), N'; ') FROM (
  SELECT column_name + CASE column_name
    WHEN N'id' THEN CASE WHEN NOT (data_type IN (N'bigint')) THEN N' is ' + data_type + N', which cannot hold BIGINT' END
    WHEN N'ok' THEN CASE WHEN NOT (data_type IN (N'bit')) THEN N' is ' + data_type + N', which cannot hold BIT' END
    WHEN N'small' THEN CASE WHEN NOT (data_type IN (N'smallint', N'int', N'bigint')) THEN N' is ' + data_type + N', which cannot hold SMALLINT' END
    WHEN N'int' THEN CASE WHEN NOT (data_type IN (N'int', N'bigint')) THEN N' is ' + data_type + N', which cannot hold INT' END
    WHEN N'real' THEN CASE WHEN NOT (data_type IN (N'real', N'float')) THEN N' is ' + data_type + N', which cannot hold REAL' END
    WHEN N'double' THEN CASE WHEN NOT (data_type = N'float' AND numeric_precision >= 53) THEN N' is ' + data_type + N', which cannot hold FLOAT(53)' END
    WHEN N'price' THEN CASE WHEN NOT (data_type IN (N'decimal', N'numeric') AND numeric_scale >= 2 AND numeric_precision - numeric_scale >= 8) THEN N' is ' + data_type + N', which cannot hold DECIMAL(10,2)' END
    WHEN N'uuid' THEN CASE WHEN NOT (data_type IN (N'uniqueidentifier')) THEN N' is ' + data_type + N', which cannot hold UNIQUEIDENTIFIER' END
    WHEN N'json' THEN CASE WHEN NOT (data_type IN (N'nvarchar') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold NVARCHAR(MAX)' END
    WHEN N'jsonb' THEN CASE WHEN NOT (data_type IN (N'nvarchar') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold NVARCHAR(MAX)' END
    WHEN N'array' THEN CASE WHEN NOT (data_type IN (N'nvarchar') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold NVARCHAR(MAX)' END
    WHEN N'bytes' THEN CASE WHEN NOT (data_type IN (N'varbinary') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold VARBINARY(MAX)' END
    WHEN N'day' THEN CASE WHEN NOT (data_type IN (N'date')) THEN N' is ' + data_type + N', which cannot hold DATE' END
    WHEN N'moment' THEN CASE WHEN NOT (data_type = N'datetime2' AND datetime_precision >= 6) THEN N' is ' + data_type + N', which cannot hold DATETIME2(6)' END
    WHEN N'instant' THEN CASE WHEN NOT (data_type = N'datetimeoffset' AND datetime_precision >= 6) THEN N' is ' + data_type + N', which cannot hold DATETIMEOFFSET(6)' END
    WHEN N'text' THEN CASE WHEN NOT (data_type IN (N'nvarchar') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold NVARCHAR(MAX)' END
    WHEN N'numeric' THEN CASE WHEN NOT (data_type IN (N'nvarchar') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold NVARCHAR(MAX)' END
    WHEN N'interval' THEN CASE WHEN NOT (data_type IN (N'nvarchar') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold NVARCHAR(MAX)' END
    WHEN N'inet' THEN CASE WHEN NOT (data_type IN (N'nvarchar') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold NVARCHAR(MAX)' END
    WHEN N'int4range' THEN CASE WHEN NOT (data_type IN (N'nvarchar') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold NVARCHAR(MAX)' END
    WHEN N'mood' THEN CASE WHEN NOT (data_type IN (N'nvarchar') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold NVARCHAR(MAX)' END
    WHEN N'hstore' THEN CASE WHEN NOT (data_type IN (N'nvarchar') AND (character_maximum_length = -1)) THEN N' is ' + data_type + N', which cannot hold NVARCHAR(MAX)' END
    ELSE N' is not in the extraction' END AS difference
  FROM (SELECT TABLE_SCHEMA AS table_schema, TABLE_NAME AS table_name, COLUMN_NAME AS column_name, IS_NULLABLE AS is_nullable, DATA_TYPE AS data_type, CHARACTER_MAXIMUM_LENGTH AS character_maximum_length, NUMERIC_PRECISION AS numeric_precision, NUMERIC_SCALE AS numeric_scale, DATETIME_PRECISION AS datetime_precision FROM INFORMATION_SCHEMA.COLUMNS) AS told WHERE table_schema = N'shop' AND table_name = N'orders'
  UNION ALL
  SELECT w.column_name + N' is missing' FROM (SELECT N'id' AS column_name UNION ALL SELECT N'ok' UNION ALL SELECT N'small' UNION ALL SELECT N'int' UNION ALL SELECT N'real' UNION ALL SELECT N'double' UNION ALL SELECT N'price' UNION ALL SELECT N'uuid' UNION ALL SELECT N'json' UNION ALL SELECT N'jsonb' UNION ALL SELECT N'array' UNION ALL SELECT N'bytes' UNION ALL SELECT N'day' UNION ALL SELECT N'moment' UNION ALL SELECT N'instant' UNION ALL SELECT N'text' UNION ALL SELECT N'numeric' UNION ALL SELECT N'interval' UNION ALL SELECT N'inet' UNION ALL SELECT N'int4range' UNION ALL SELECT N'mood' UNION ALL SELECT N'hstore') AS w
  WHERE w.column_name NOT IN (SELECT column_name FROM (SELECT TABLE_SCHEMA AS table_schema, TABLE_NAME AS table_name, COLUMN_NAME AS column_name, IS_NULLABLE AS is_nullable, DATA_TYPE AS data_type, CHARACTER_MAXIMUM_LENGTH AS character_maximum_length, NUMERIC_PRECISION AS numeric_precision, NUMERIC_SCALE AS numeric_scale, DATETIME_PRECISION AS datetime_precision FROM INFORMATION_SCHEMA.COLUMNS) AS told WHERE table_schema = N'shop' AND table_name = N'orders')
) AS found
WHERE difference IS NOT NULL
);
IF @difference IS NOT NULL
BEGIN
  DECLARE @message NVARCHAR(2048) = LEFT(CONCAT(N'shop.orders does not fit: ', @difference), 2048);
  THROW 50001, @message, 1;
END;
GO

-- Staging table.
IF NOT EXISTS (SELECT 1 FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'orders')
BEGIN
  IF OBJECT_ID(N'[shop].[orders__sqlextract_27067f5c]', N'U') IS NULL
  BEGIN
    DELETE FROM [shop].[sqlextract_chunks] WHERE job = N'orders-0123abcd' AND chunk LIKE N'data/shop.orders/%';
    CREATE TABLE [shop].[orders__sqlextract_27067f5c] (
      [id] NVARCHAR(MAX) NULL,
      [ok] NVARCHAR(MAX) NULL,
      [small] NVARCHAR(MAX) NULL,
      [int] NVARCHAR(MAX) NULL,
      [real] NVARCHAR(MAX) NULL,
      [double] NVARCHAR(MAX) NULL,
      [price] NVARCHAR(MAX) NULL,
      [uuid] NVARCHAR(MAX) NULL,
      [json] NVARCHAR(MAX) NULL,
      [jsonb] NVARCHAR(MAX) NULL,
      [array] NVARCHAR(MAX) NULL,
      [bytes] NVARCHAR(MAX) NULL,
      [day] NVARCHAR(MAX) NULL,
      [moment] NVARCHAR(MAX) NULL,
      [instant] NVARCHAR(MAX) NULL,
      [text] NVARCHAR(MAX) NULL,
      [numeric] NVARCHAR(MAX) NULL,
      [interval] NVARCHAR(MAX) NULL,
      [inet] NVARCHAR(MAX) NULL,
      [int4range] NVARCHAR(MAX) NULL,
      [mood] NVARCHAR(MAX) NULL,
      [hstore] NVARCHAR(MAX) NULL
    );
  END;
END;
GO
IF EXISTS (SELECT 1 FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'orders')
  PRINT 'sqlextract: loaded before';
GO

-- ==== "shop.empty"

-- Schema, ledger, table.
IF SCHEMA_ID(N'shop') IS NULL EXEC (N'CREATE SCHEMA [shop]');
GO
IF OBJECT_ID(N'[shop].[sqlextract_loads]', N'U') IS NULL
CREATE TABLE [shop].[sqlextract_loads] (
  job NVARCHAR(120) NOT NULL,
  table_name NVARCHAR(128) NOT NULL,
  row_count BIGINT NOT NULL,
  loaded_at DATETIMEOFFSET(6) NOT NULL DEFAULT SYSDATETIMEOFFSET(),
  PRIMARY KEY (job, table_name)
);
IF OBJECT_ID(N'[shop].[sqlextract_chunks]', N'U') IS NULL
CREATE TABLE [shop].[sqlextract_chunks] (
  job NVARCHAR(120) NOT NULL,
  chunk NVARCHAR(300) NOT NULL,
  row_count BIGINT NOT NULL,
  loaded_at DATETIMEOFFSET(6) NOT NULL DEFAULT SYSDATETIMEOFFSET(),
  PRIMARY KEY (job, chunk)
);
IF OBJECT_ID(N'[shop].[empty]', N'U') IS NULL
CREATE TABLE [shop].[empty] (
  [id] INT NULL
);
GO

-- Stops where the table is not what the extraction needs.
DECLARE @difference NVARCHAR(MAX) = (
SELECT STRING_AGG(CAST(difference AS NVARCHAR(MAX)), N'; ') FROM (
  SELECT column_name + CASE column_name
    WHEN N'id' THEN CASE WHEN NOT (data_type IN (N'int', N'bigint')) THEN N' is ' + data_type + N', which cannot hold INT' END
    ELSE N' is not in the extraction' END AS difference
  FROM (SELECT TABLE_SCHEMA AS table_schema, TABLE_NAME AS table_name, COLUMN_NAME AS column_name, IS_NULLABLE AS is_nullable, DATA_TYPE AS data_type, CHARACTER_MAXIMUM_LENGTH AS character_maximum_length, NUMERIC_PRECISION AS numeric_precision, NUMERIC_SCALE AS numeric_scale, DATETIME_PRECISION AS datetime_precision FROM INFORMATION_SCHEMA.COLUMNS) AS told WHERE table_schema = N'shop' AND table_name = N'empty'
  UNION ALL
  SELECT w.column_name + N' is missing' FROM (SELECT N'id' AS column_name) AS w
  WHERE w.column_name NOT IN (SELECT column_name FROM (SELECT TABLE_SCHEMA AS table_schema, TABLE_NAME AS table_name, COLUMN_NAME AS column_name, IS_NULLABLE AS is_nullable, DATA_TYPE AS data_type, CHARACTER_MAXIMUM_LENGTH AS character_maximum_length, NUMERIC_PRECISION AS numeric_precision, NUMERIC_SCALE AS numeric_scale, DATETIME_PRECISION AS datetime_precision FROM INFORMATION_SCHEMA.COLUMNS) AS told WHERE table_schema = N'shop' AND table_name = N'empty')
) AS found
WHERE difference IS NOT NULL
);
IF @difference IS NOT NULL
BEGIN
  DECLARE @message NVARCHAR(2048) = LEFT(CONCAT(N'shop.empty does not fit: ', @difference), 2048);
  THROW 50001, @message, 1;
END;
GO

-- Staging table.
IF NOT EXISTS (SELECT 1 FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'empty')
BEGIN
  IF OBJECT_ID(N'[shop].[empty__sqlextract_fb715385]', N'U') IS NULL
  BEGIN
    DELETE FROM [shop].[sqlextract_chunks] WHERE job = N'orders-0123abcd' AND chunk LIKE N'data/shop.empty/%';
    CREATE TABLE [shop].[empty__sqlextract_fb715385] (
      [id] NVARCHAR(MAX) NULL
    );
  END;
END;
GO
IF EXISTS (SELECT 1 FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'empty')
  PRINT 'sqlextract: loaded before';
GO
SQLEXTRACT_END_OF_STEP
      ;;
    1)
      cat <<'SQLEXTRACT_END_OF_STEP'
SET NOCOUNT ON;
SET XACT_ABORT ON;
GO
USE [analytics];
GO
IF NOT EXISTS (SELECT 1 FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'orders')
BEGIN
  IF NOT EXISTS (SELECT 1 FROM [shop].[sqlextract_chunks] WHERE job = N'orders-0123abcd' AND chunk = N'data/shop.orders/g0001/batch-0000000-00000000000000aa-00.csv')
  BEGIN
    BEGIN TRANSACTION;
    INSERT INTO [shop].[sqlextract_chunks] (job, chunk, row_count) VALUES (N'orders-0123abcd', N'data/shop.orders/g0001/batch-0000000-00000000000000aa-00.csv', 2);
    BULK INSERT [shop].[orders__sqlextract_27067f5c] FROM '/srv/lake/orders-0123abcd/data/shop.orders/g0001/batch-0000000-00000000000000aa-00.csv'
    WITH (FORMAT = 'CSV', FIRSTROW = 2, FIELDQUOTE = '"', FIELDTERMINATOR = ',', ROWTERMINATOR = '0x0a', CODEPAGE = '65001', KEEPNULLS, TABLOCK, MAXERRORS = 0);
    IF @@ROWCOUNT <> 2 THROW 50002, N'data/shop.orders/g0001/batch-0000000-00000000000000aa-00.csv does not hold 2 rows', 1;
    COMMIT TRANSACTION;
  END;
END;
GO
SQLEXTRACT_END_OF_STEP
      ;;
    2)
      cat <<'SQLEXTRACT_END_OF_STEP'
SET NOCOUNT ON;
SET XACT_ABORT ON;
GO
USE [analytics];
GO
IF NOT EXISTS (SELECT 1 FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'orders')
BEGIN
  IF NOT EXISTS (SELECT 1 FROM [shop].[sqlextract_chunks] WHERE job = N'orders-0123abcd' AND chunk = N'data/shop.orders/g0001/batch-0000001-00000000000000aa-00.csv')
  BEGIN
    BEGIN TRANSACTION;
    INSERT INTO [shop].[sqlextract_chunks] (job, chunk, row_count) VALUES (N'orders-0123abcd', N'data/shop.orders/g0001/batch-0000001-00000000000000aa-00.csv', 3);
    BULK INSERT [shop].[orders__sqlextract_27067f5c] FROM '/srv/lake/orders-0123abcd/data/shop.orders/g0001/batch-0000001-00000000000000aa-00.csv'
    WITH (FORMAT = 'CSV', FIRSTROW = 2, FIELDQUOTE = '"', FIELDTERMINATOR = ',', ROWTERMINATOR = '0x0a', CODEPAGE = '65001', KEEPNULLS, TABLOCK, MAXERRORS = 0);
    IF @@ROWCOUNT <> 3 THROW 50002, N'data/shop.orders/g0001/batch-0000001-00000000000000aa-00.csv does not hold 3 rows', 1;
    COMMIT TRANSACTION;
  END;
END;
GO
SQLEXTRACT_END_OF_STEP
      ;;
    epilogue)
      cat <<'SQLEXTRACT_END_OF_STEP'
SET NOCOUNT ON;
SET XACT_ABORT ON;
SET QUOTED_IDENTIFIER ON;
GO
USE [analytics];
GO

-- ==== "shop.orders"

-- Check: rows in all; every file's rows were counted as it was loaded.
IF NOT EXISTS (SELECT 1 FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'orders')
BEGIN
  DECLARE @loaded BIGINT = (SELECT COUNT_BIG(*) FROM [shop].[orders__sqlextract_27067f5c]);
  IF @loaded <> 5
  BEGIN
    DECLARE @message NVARCHAR(2048) = CONCAT(N'shop.orders: ', @loaded, N' rows were loaded, the manifest says 5');
    THROW 50003, @message, 1;
  END;
END;
GO

-- Publish.
IF NOT EXISTS (SELECT 1 FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'orders')
BEGIN
  BEGIN TRY
    DECLARE @loaded BIGINT = (SELECT COUNT_BIG(*) FROM [shop].[orders__sqlextract_27067f5c]);
    IF @loaded <> 5
    BEGIN
      DECLARE @message NVARCHAR(2048) = CONCAT(N'shop.orders: ', @loaded, N' rows were loaded, the manifest says 5');
      THROW 50003, @message, 1;
    END;
    BEGIN TRANSACTION;
    INSERT INTO [shop].[sqlextract_loads] (job, table_name, row_count)
    SELECT N'orders-0123abcd', N'orders', COUNT_BIG(*) FROM [shop].[orders__sqlextract_27067f5c];
    INSERT INTO [shop].[orders] WITH (TABLOCK) ([id], [ok], [small], [int], [real], [double], [price], [uuid], [json], [jsonb], [array], [bytes], [day], [moment], [instant], [text], [numeric], [interval], [inet], [int4range], [mood], [hstore])
    SELECT CAST([id] AS BIGINT) AS [id], CAST([ok] AS BIT) AS [ok], CAST([small] AS SMALLINT) AS [small], CAST([int] AS INT) AS [int], CAST([real] AS REAL) AS [real], CAST([double] AS FLOAT(53)) AS [double], CAST([price] AS DECIMAL(10,2)) AS [price], CAST([uuid] AS UNIQUEIDENTIFIER) AS [uuid], [json], [jsonb], [array], CONVERT(VARBINARY(MAX), [bytes], 2) AS [bytes], CAST([day] AS DATE) AS [day], CAST(STUFF([moment], 11, 1, N'T') AS DATETIME2(6)) AS [moment], CAST(STUFF([instant], 11, 1, N'T') AS DATETIMEOFFSET(6)) AS [instant], [text], [numeric], [interval], [inet], [int4range], [mood], [hstore] FROM [shop].[orders__sqlextract_27067f5c];
    COMMIT TRANSACTION;
  END TRY
  BEGIN CATCH
    IF XACT_STATE() <> 0 ROLLBACK TRANSACTION;
    THROW;
  END CATCH;
END;
GO

-- Clean up.
DROP TABLE IF EXISTS [shop].[orders__sqlextract_27067f5c];
DELETE FROM [shop].[sqlextract_chunks] WHERE job = N'orders-0123abcd' AND chunk LIKE N'data/shop.orders/%';
GO
SELECT job, table_name, row_count, loaded_at FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'orders';
GO

-- ==== "shop.empty"

-- Check: rows in all; every file's rows were counted as it was loaded.
IF NOT EXISTS (SELECT 1 FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'empty')
BEGIN
  DECLARE @loaded BIGINT = (SELECT COUNT_BIG(*) FROM [shop].[empty__sqlextract_fb715385]);
  IF @loaded <> 0
  BEGIN
    DECLARE @message NVARCHAR(2048) = CONCAT(N'shop.empty: ', @loaded, N' rows were loaded, the manifest says 0');
    THROW 50003, @message, 1;
  END;
END;
GO

-- Publish.
IF NOT EXISTS (SELECT 1 FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'empty')
BEGIN
  BEGIN TRY
    DECLARE @loaded BIGINT = (SELECT COUNT_BIG(*) FROM [shop].[empty__sqlextract_fb715385]);
    IF @loaded <> 0
    BEGIN
      DECLARE @message NVARCHAR(2048) = CONCAT(N'shop.empty: ', @loaded, N' rows were loaded, the manifest says 0');
      THROW 50003, @message, 1;
    END;
    BEGIN TRANSACTION;
    INSERT INTO [shop].[sqlextract_loads] (job, table_name, row_count)
    SELECT N'orders-0123abcd', N'empty', COUNT_BIG(*) FROM [shop].[empty__sqlextract_fb715385];
    INSERT INTO [shop].[empty] WITH (TABLOCK) ([id])
    SELECT CAST([id] AS INT) AS [id] FROM [shop].[empty__sqlextract_fb715385];
    COMMIT TRANSACTION;
  END TRY
  BEGIN CATCH
    IF XACT_STATE() <> 0 ROLLBACK TRANSACTION;
    THROW;
  END CATCH;
END;
GO

-- Clean up.
DROP TABLE IF EXISTS [shop].[empty__sqlextract_fb715385];
DELETE FROM [shop].[sqlextract_chunks] WHERE job = N'orders-0123abcd' AND chunk LIKE N'data/shop.empty/%';
GO
SELECT job, table_name, row_count, loaded_at FROM [shop].[sqlextract_loads] WHERE job = N'orders-0123abcd' AND table_name = N'empty';
GO
SQLEXTRACT_END_OF_STEP
      ;;
  esac
}

say() { printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" | tee -a "$log" >&2; }

attempt() {
  local step=$1 try=1 pause=1
  statements "$step" >"$work/$step.sql"
  until client "$work/$step.sql" >"$work/$step.out" 2>&1; do
    say "step $step, $(about "$step"), try $try failed: $(tr '\n' ' ' <"$work/$step.out" | cut -c 1-2000)"
    if lasts "$work/$step.out" || [ "$try" -ge "$tries" ]; then
      sed "s/^/step $step: /" "$work/$step.sql" >>"$log"
      return 1
    fi
    sleep "$pause"
    try=$((try + 1)) pause=$((pause * 2))
  done
}

if [ "${1:-}" = step ]; then
  work=$SQLEXTRACT_WORK
  attempt "$2"
  exit
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export SQLEXTRACT_WORK=$work SQLEXTRACT_LOG=$log SQLEXTRACT_TRIES=$tries
attempt prologue
cat "$work/prologue.out"
if [ "$(grep -c 'sqlextract: loaded before' "$work/prologue.out")" = 2 ]; then exit 0; fi
if ! seq 2 | xargs -P "$sessions" -n 1 bash "$0" step; then
  say "some chunks were not loaded, and nothing was published; run it again: it loads only what is missing"
  exit 1
fi
attempt epilogue
cat "$work/epilogue.out"
