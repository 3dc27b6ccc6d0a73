-- Takes a connection where one is free. The same slot twice is one connection.
-- KEYS budget members connections
-- ARGV limit slot lasts member known key_ttl settle   (times in microseconds but key_ttl in milliseconds)
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local lasts, settle = tonumber(ARGV[3]), tonumber(ARGV[7])

redis.call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - lasts))
redis.call('ZREMRANGEBYSCORE', KEYS[2], string.format('%.0f', now + lasts), '+inf')
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now))
local fleet = redis.call('ZCARD', KEYS[2])
if redis.call('HSETNX', KEYS[1], 'since', string.format('%.0f', now)) == 1 and ARGV[5] == '1' then
  redis.call('HSET', KEYS[1], 'settled', string.format('%.0f', now + settle))
end
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[6])

if not redis.call('ZSCORE', KEYS[3], ARGV[2]) then
  -- After a loss the holders write their connections down again first.
  local settled = tonumber(redis.call('HGET', KEYS[1], 'settled') or '0')
  local settling = now < settled and settled <= now + settle
  if settling or redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[1]) then return { 0, fleet } end
end
redis.call('ZADD', KEYS[3], string.format('%.0f', now + lasts), ARGV[2])
redis.call('PEXPIRE', KEYS[3], ARGV[6])
return { 1, fleet }
