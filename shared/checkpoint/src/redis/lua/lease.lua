-- Takes or renews a lease; a time of 0 gives it back. The token grows with every new taking.
-- KEYS lease
-- ARGV holder milliseconds
local known = redis.call('GET', KEYS[1])
local token
if known then
  local taken, holder = string.match(known, '^(%d+) (.*)$')
  if holder ~= ARGV[1] then return { 0, taken, holder } end
  token = taken
end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return { 1, token or '0', '' }
end
if not token then
  local now = redis.call('TIME')
  token = string.format('%.0f', now[1] * 1000000 + now[2])
end
redis.call('SET', KEYS[1], token .. ' ' .. ARGV[1], 'PX', ARGV[2])
return { 1, token, '' }
