-- Makes a job's state what storage says.
-- KEYS meta done attempts parked
-- ARGV ttl tables, then of each table: segment generation batches done pages, then of each page: page bits
local meta, done = KEYS[1], KEYS[2]

local named, order, keeps = {}, {}, false
local at = 3
for _ = 1, tonumber(ARGV[2]) do
  local table_ = {
    segment = ARGV[at], generation = tonumber(ARGV[at + 1]), written = ARGV[at + 1],
    batches = ARGV[at + 2], done = ARGV[at + 3], bits = {},
  }
  local pages = tonumber(ARGV[at + 4])
  at = at + 5
  for _ = 1, pages do
    table_.bits[ARGV[at]] = ARGV[at + 1]
    at = at + 2
  end
  local known = tonumber(redis.call('HGET', meta, 'g:' .. table_.segment) or '-1')
  -- A table whose generation is known to be newer stays as it is.
  table_.keep = known > table_.generation
  table_.same = known == table_.generation
  keeps = keeps or table_.keep
  named[table_.segment] = table_
  order[#order + 1] = table_
end

for _, field in ipairs(redis.call('HKEYS', meta)) do
  local segment = string.match(field, '^g:(.*)$')
  if segment and not named[segment] then
    redis.call('HDEL', meta, 'g:' .. segment, 'n:' .. segment, 'd:' .. segment, 'r:' .. segment, 'b:' .. segment)
  end
end
if keeps then
  for _, field in ipairs(redis.call('HKEYS', done)) do
    local of = named[string.match(field, '^(.*)/%d+/%d+$')]
    if not (of and of.keep) then redis.call('HDEL', done, field) end
  end
else
  redis.call('DEL', done)
end

local total, finished, rows, bytes = 0, 0, 0, 0
for _, of in ipairs(order) do
  local segment = of.segment
  if not of.keep then
    redis.call('HSET', meta, 'g:' .. segment, of.written, 'n:' .. segment, of.batches, 'd:' .. segment, of.done)
    if not of.same then redis.call('HSET', meta, 'r:' .. segment, '0', 'b:' .. segment, '0') end
    for page, bits in pairs(of.bits) do
      redis.call('HSET', done, segment .. '/' .. of.written .. '/' .. page, bits)
    end
  end
  local sums = redis.call('HMGET', meta, 'n:' .. segment, 'd:' .. segment, 'r:' .. segment, 'b:' .. segment)
  total, finished = total + tonumber(sums[1]), finished + tonumber(sums[2])
  rows, bytes = rows + tonumber(sums[3]), bytes + tonumber(sums[4])
end
-- Doubles are exact up to 2^53, nine petabytes.
local function whole(number) return string.format('%.0f', number) end
redis.call('HSET', meta, 'total', whole(total), 'done', whole(finished), 'rows', whole(rows), 'bytes', whole(bytes))
redis.call('HSETNX', meta, 'paused', '0')

-- What was tried or parked of batches that are done, or of older generations, is settled.
for _, key in ipairs({ KEYS[3], KEYS[4] }) do
  for _, field in ipairs(redis.call('HKEYS', key)) do
    local segment, generation, batch = string.match(field, '^(.*)/(%d+)/(%d+)$')
    local of = named[segment]
    if of and not of.keep then
      local settled = tonumber(generation) < of.generation
      if tonumber(generation) == of.generation then
        local number = tonumber(batch)
        local within = number % 4096
        local bits = of.bits[whole(math.floor(number / 4096))]
        settled = bits and bit.band(string.byte(bits, math.floor(within / 8) + 1), 2 ^ (within % 8)) ~= 0
      end
      if settled then redis.call('HDEL', key, field) end
    end
  end
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[1]) end
return 1
