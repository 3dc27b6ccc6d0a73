-- A member lives: it and the connections that it holds stay, those that it gave back go.
-- KEYS budget members connections
-- ARGV lasts member known key_ttl settle held, then the slots held, then those given back
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local lasts = tonumber(ARGV[1])

redis.call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - lasts))
redis.call('ZREMRANGEBYSCORE', KEYS[2], string.format('%.0f', now + lasts), '+inf')
if redis.call('HSETNX', KEYS[1], 'since', string.format('%.0f', now)) == 1 and ARGV[3] == '1' then
  redis.call('HSET', KEYS[1], 'settled', string.format('%.0f', now + tonumber(ARGV[5])))
end
local held = tonumber(ARGV[6])
for i = 7, #ARGV do
  if i < 7 + held then
    redis.call('ZADD', KEYS[3], string.format('%.0f', now + lasts), ARGV[i])
  else
    redis.call('ZREM', KEYS[3], ARGV[i])
  end
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[4]) end
return redis.call('ZCARD', KEYS[2])
