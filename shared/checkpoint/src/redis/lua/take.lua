-- Grants the next slice of a source's budget: units, and how long to wait before they may be used.
-- The slices of all members stand in one line of the server's time.
-- KEYS budget members
-- ARGV unit rate slice member member_ttl known key_ttl settle   (times in microseconds but key_ttl in milliseconds)
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local rate, slice, lasts = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[5])

redis.call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - lasts))
redis.call('ZREMRANGEBYSCORE', KEYS[2], string.format('%.0f', now + lasts), '+inf')
local fleet = redis.call('ZCARD', KEYS[2])
if redis.call('HSETNX', KEYS[1], 'since', string.format('%.0f', now)) == 1 and ARGV[6] == '1' then
  redis.call('HSET', KEYS[1], 'settled', string.format('%.0f', now + tonumber(ARGV[8])))
end

local units = math.max(1, math.floor(rate * slice / 1000000 / fleet))
local cost = units * 1000000 / rate
local start = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if start == 0 or start > now + 2 * (fleet + 1) * cost + 1000000 then
  -- New, or lost; or a line longer than all members can make it: written before the clock was set back.
  start = now
else
  -- A slice's time may be caught up with, so that a member that was held up takes nothing from the others.
  start = math.max(start, now - slice)
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.3f', start + cost))
redis.call('PEXPIRE', KEYS[1], ARGV[7])
redis.call('PEXPIRE', KEYS[2], ARGV[7])
return { units, math.max(0, math.ceil(start - now)), fleet }
