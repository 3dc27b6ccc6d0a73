-- Parks a batch that is not done, or without a failure clears parking and tries.
-- KEYS meta done attempts parked
-- ARGV ttl segment generation batch page byte mask failure
local of = ARGV[2] .. '/' .. ARGV[3] .. '/'
local field = of .. ARGV[4]
if ARGV[8] == '' then
  redis.call('HDEL', KEYS[3], field)
  redis.call('HDEL', KEYS[4], field)
  return 1
end
if redis.call('HGET', KEYS[1], 'g:' .. ARGV[2]) == ARGV[3] then
  local bits = redis.call('HGET', KEYS[2], of .. ARGV[5])
  if bits and bit.band(string.byte(bits, tonumber(ARGV[6])), tonumber(ARGV[7])) ~= 0 then return 0 end
end
redis.call('HSET', KEYS[4], field, ARGV[8])
redis.call('PEXPIRE', KEYS[4], ARGV[1])
return 1
