-- Records a committed batch; run twice it counts once. Answers what is left of the job.
-- KEYS meta done attempts parked
-- ARGV ttl segment generation batch page byte mask rows bytes
local meta, done = KEYS[1], KEYS[2]
local segment, generation = ARGV[2], ARGV[3]

local of = redis.call('HMGET', meta, 'g:' .. segment, 'n:' .. segment, 'total', 'done')
-- Never made here: a job that has vanished is rebuilt from storage.
if not of[1] then return { 'unknown' } end
if tonumber(generation) < tonumber(of[1]) then return { 'stale' } end
if tonumber(generation) > tonumber(of[1]) then return { 'unknown' } end
if tonumber(ARGV[4]) >= tonumber(of[2]) then return { 'outside', of[2] } end

local field = segment .. '/' .. generation .. '/' .. ARGV[5]
local bits = redis.call('HGET', done, field)
if not bits then
  -- The bits were evicted without their counter: what is counted is not what is known.
  if tonumber(of[4]) > 0 and redis.call('EXISTS', done) == 0 then return { 'unknown' } end
  bits = string.rep('\0', 512)
end
if #bits ~= 512 then return { 'damaged', field } end

local at, mask = tonumber(ARGV[6]), tonumber(ARGV[7])
local value = string.byte(bits, at)
local finished, new = tonumber(of[4]), 0
if bit.band(value, mask) == 0 then
  new = 1
  redis.call('HSET', done, field, string.sub(bits, 1, at - 1) .. string.char(bit.bor(value, mask)) .. string.sub(bits, at + 1))
  finished = redis.call('HINCRBY', meta, 'done', 1)
  redis.call('HINCRBY', meta, 'd:' .. segment, 1)
  local sums = { ['r:' .. segment] = ARGV[8], rows = ARGV[8], ['b:' .. segment] = ARGV[9], bytes = ARGV[9] }
  for sum, more in pairs(sums) do
    if type(redis.pcall('HINCRBY', meta, sum, more)) == 'table' then
      redis.call('HSET', meta, sum, '9223372036854775807')
    end
  end
end

local tried = segment .. '/' .. generation .. '/' .. ARGV[4]
redis.call('HDEL', KEYS[3], tried)
redis.call('HDEL', KEYS[4], tried)
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[1]) end
return { 'recorded', new, tonumber(of[3]) - finished }
