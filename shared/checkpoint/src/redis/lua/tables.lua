-- What is known of each table of a job.
-- KEYS meta
local meta = redis.call('HGETALL', KEYS[1])
local fields, segments = {}, {}
for i = 1, #meta, 2 do
  fields[meta[i]] = meta[i + 1]
  local segment = string.match(meta[i], '^g:(.*)$')
  if segment then segments[#segments + 1] = segment end
end
table.sort(segments)
local answer = {}
for _, segment in ipairs(segments) do
  answer[#answer + 1] = segment
  for _, part in ipairs({ 'g:', 'n:', 'd:', 'r:', 'b:' }) do
    answer[#answer + 1] = fields[part .. segment] or '0'
  end
end
return answer
