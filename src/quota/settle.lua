-- A hold becomes what it came to. Told twice, it counts once.
--
-- KEYS  1 the account's gauges   2 its holds
-- ARGV  1 hold  2 period  3 credits  4 nano-USD  5 tokens more than were taken (may be negative)
--       then per scope: prefix, whether credits, nano-USD and tokens are limited (0 or 1), and what
--       was held of credits and nano-USD
local gauges, holds = KEYS[1], KEYS[2]
local period, more = tonumber(ARGV[2]), tonumber(ARGV[5])
local held = ARGV[1] == '' or redis.call('ZREM', holds, ARGV[1]) == 1
for first = 6, #ARGV, 6 do
  local p = ARGV[first] .. ':'
  for n, name in ipairs({ 'c', 's' }) do
    if ARGV[first + n] == '1' then
      local charged = ARGV[2 + n]
      local reserved = tonumber(redis.call('HGET', gauges, p .. name .. 'r')) or 0
      if held and ARGV[1] ~= '' then
        local left = math.max(reserved - tonumber(ARGV[first + 3 + n]), 0)
        redis.call('HSET', gauges, p .. name .. 'r', string.format('%.0f', left))
      end
      if tonumber(redis.call('HGET', gauges, p .. name .. 'p')) == period then
        redis.call('HINCRBY', gauges, p .. name, charged)
      end
    end
  end
  if ARGV[first + 3] == '1' and more ~= 0 then
    local level = tonumber(redis.call('HGET', gauges, p .. 't')) or 0
    local corrected = math.max(level + more * 60000, 0)
    redis.call('HSET', gauges, p .. 't', string.format('%.0f', corrected))
  end
end
return 1
