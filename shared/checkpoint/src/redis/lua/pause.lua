-- Holds a known job, or lets it go on.
-- KEYS meta done
-- ARGV ttl paused
local finished = redis.call('HGET', KEYS[1], 'done')
if not finished then return 0 end
-- Evicted in part: as good as gone.
if tonumber(finished) > 0 and redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'paused', ARGV[2])
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[1]) end
return 1
