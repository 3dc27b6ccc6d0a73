-- Counts a try. The call's own id is kept with the count, so that a call whose answer was lost counts once.
-- KEYS attempts
-- ARGV ttl field call
local known = redis.call('HGET', KEYS[1], ARGV[2])
local count, call = 0, ''
if known then count, call = string.match(known, '^(%d+) (.*)$') end
count = tonumber(count)
if call ~= ARGV[3] then
  count = count + 1
  redis.call('HSET', KEYS[1], ARGV[2], string.format('%.0f', count) .. ' ' .. ARGV[3])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return count
