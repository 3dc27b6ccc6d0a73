-- A job's sums, and what is parked of its known generations.
-- KEYS meta done attempts parked
-- ARGV ttl
local sums = redis.call('HMGET', KEYS[1], 'total', 'done', 'rows', 'bytes', 'paused')
if not sums[1] then return {} end
-- Evicted in part: as good as gone.
if tonumber(sums[2]) > 0 and redis.call('EXISTS', KEYS[2]) == 0 then return {} end
local answer = sums
local generations = {}
local parked = redis.call('HGETALL', KEYS[4])
for i = 1, #parked, 2 do
  local segment, generation = string.match(parked[i], '^(.*)/(%d+)/%d+$')
  if generations[segment] == nil then generations[segment] = redis.call('HGET', KEYS[1], 'g:' .. segment) end
  if generations[segment] == generation then
    answer[#answer + 1] = parked[i]
    answer[#answer + 1] = parked[i + 1]
  end
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[1]) end
return answer
