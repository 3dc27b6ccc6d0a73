-- Notes what a process does at a source, unless the text is empty, and answers with what each one does that was heard
-- of lately.
-- KEYS replicas
-- ARGV name text lasts key_ttl   (lasts in microseconds, key_ttl in milliseconds)
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local lasts = tonumber(ARGV[3])
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now) .. ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
local told = redis.call('HGETALL', KEYS[1])
local answer = {}
for i = 1, #told, 2 do
  local at, text = string.match(told[i + 1], '^(%d+) (.*)$')
  at = tonumber(at or '0')
  if at < now - lasts or at > now + lasts then
    redis.call('HDEL', KEYS[1], told[i])
  else
    answer[#answer + 1] = told[i]
    answer[#answer + 1] = text
  end
end
return answer
