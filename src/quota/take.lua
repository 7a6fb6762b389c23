-- Takes from every limit of an account and of its key at once, or from none: the arithmetic of
-- gauge.rs, in one round trip. Both keys carry the account in braces, so that a cluster keeps
-- them in one slot.
--
-- KEYS  1 the account's gauges (hash)   2 its holds (sorted by when they lapse)
-- ARGV  1 now (ms)  2 period  3 day  4 hold  5 when the hold lapses (ms)
--       6-10 requests, tokens, images, credits, nano-USD
--       then per scope (the account, maybe the key): prefix, limits of requests a minute, requests
--       a day, tokens, images, credits, nano-USD (-1 = none), used credits and nano-USD ('' = not
--       asked of the books yet)
-- Gives status (0 taken, 1 refused, 2 ask the books), limit from 1, scope, wait (ms), then the
-- account's gauges.
local gauges, holds = KEYS[1], KEYS[2]
local now, period, today = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local requests, tokens, images = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local credits, spend = tonumber(ARGV[9]), tonumber(ARGV[10])
local PARTS, DAY, SKEW = 60000, 86400000, 60000
local FIELDS = { 'q', 'qt', 'd', 'dn', 't', 'tt', 'i', 'it', 'c', 'cp', 'cr', 's', 'sp', 'sr' }

local function written(number) return string.format('%.0f', number) end

-- Holds of nodes that are gone give back what they spoke for.
for _, hold in ipairs(redis.call('ZRANGEBYSCORE', holds, '-inf', now, 'LIMIT', 0, 100)) do
  local key, ac, as, kc, ks = string.match(hold, '|(.*)|(%d+)|(%d+)|(%d+)|(%d+)$')
  local function give_back(field, amount)
    if tonumber(amount) > 0 then redis.call('HINCRBY', gauges, field, '-' .. amount) end
  end
  if key then
    give_back('a:cr', ac)
    give_back('a:sr', as)
    give_back(key .. ':cr', kc)
    give_back(key .. ':sr', ks)
  end
  redis.call('ZREM', holds, hold)
end

local function level_at(level, at, limit)
  local passed = math.max(now - at, 0)
  return math.max(level - passed * limit, 0)
end

-- A clock that was set back by more than clocks of nodes differ goes on from where it is now.
local function heard(at)
  if at - now > SKEW then return now end
  return math.max(at, now)
end

-- One that is set back over midnight does not begin the day before anew.
local function day_of(state)
  if state.dn - today == 1 then return state.dn end
  return today
end

local function wait_for(level, at, limit, amount)
  if limit < 0 or amount == 0 then return 0 end
  if limit == 0 then return 60000 end
  local over = math.min(amount, limit) * PARTS - (limit * PARTS - level_at(level, at, limit))
  if over <= 0 then return 0 end
  return math.floor((over - 1) / limit) + 1
end

-- Pictures take nothing of a minute's requests where they have a limit of their own.
local function a_minute(limits)
  if images > 0 and limits[4] >= 0 then return 0 end
  return requests
end

local scopes, blank, refused = {}, false, nil
for first = 11, #ARGV, 9 do
  local scope = { prefix = ARGV[first], limits = {}, state = {} }
  for n = 1, 6 do scope.limits[n] = tonumber(ARGV[first + n]) end
  local names = {}
  for n, field in ipairs(FIELDS) do names[n] = scope.prefix .. ':' .. field end
  local values = redis.call('HMGET', gauges, unpack(names))
  for n, field in ipairs(FIELDS) do scope.state[field] = tonumber(values[n]) or 0 end
  local state, limits = scope.state, scope.limits
  for _, purse in ipairs({ { 'c', 5, 7 }, { 's', 6, 8 } }) do
    local name, limit, seed = purse[1], limits[purse[2]], ARGV[first + purse[3]]
    if limit >= 0 and state[name .. 'p'] ~= period then
      if seed == '' then
        blank = true
      else
        state[name], state[name .. 'p'] = tonumber(seed), period
      end
    end
  end
  scopes[#scopes + 1] = scope
end
if blank then return { 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 } end

for n, scope in ipairs(scopes) do
  local state, limits = scope.state, scope.limits
  local function refuse(limit, wait)
    if not refused or wait > refused[3] then refused = { limit, n - 1, wait } end
  end
  if limits[5] >= 0 and state.c + state.cr + credits > limits[5] then
    refused = { 5, n - 1, 0 }
    break
  end
  if limits[6] >= 0 and state.s + state.sr + spend > limits[6] then
    refused = { 6, n - 1, 0 }
    break
  end
  local waits = { wait_for(state.q, state.qt, limits[1], a_minute(limits)), 0,
    wait_for(state.t, state.tt, limits[3], tokens), wait_for(state.i, state.it, limits[4], images) }
  local count = state.dn == day_of(state) and state.d or 0
  if limits[2] >= 0 and requests > 0 and count + requests > limits[2] then
    waits[2] = DAY - now % DAY
  end
  for limit = 1, 4 do
    if waits[limit] > 0 then refuse(limit, waits[limit]) end
  end
end

for n, scope in ipairs(scopes) do
  local state, limits, p = scope.state, scope.limits, scope.prefix
  local changed = {}
  local function set(field, value)
    state[field] = value
    changed[#changed + 1] = p .. ':' .. field
    changed[#changed + 1] = written(value)
  end
  if not refused then
    for _, rate in ipairs({ { 'q', 1, a_minute(limits) }, { 't', 3, tokens }, { 'i', 4, images } }) do
      local name, limit, amount = rate[1], limits[rate[2]], rate[3]
      if limit >= 0 and amount > 0 then
        set(name, level_at(state[name], state[name .. 't'], limit) + amount * PARTS)
        set(name .. 't', heard(state[name .. 't']))
      end
    end
    if limits[2] >= 0 and requests > 0 then
      set('d', (state.dn == day_of(state) and state.d or 0) + requests)
      set('dn', day_of(state))
    end
  end
  for _, purse in ipairs({ { 'c', 5, credits }, { 's', 6, spend } }) do
    local name = purse[1]
    if limits[purse[2]] >= 0 then
      set(name, state[name])
      set(name .. 'p', period)
      if not refused then set(name .. 'r', state[name .. 'r'] + purse[3]) end
    end
  end
  if #changed > 0 then redis.call('HSET', gauges, unpack(changed)) end
end
redis.call('PEXPIRE', gauges, 3456000000)
if not refused and ARGV[4] ~= '' then
  redis.call('ZADD', holds, ARGV[5], ARGV[4])
  redis.call('PEXPIRE', holds, 3456000000)
end

local a = scopes[1].state
refused = refused or { 0, 0, 0 }
return { refused[1] > 0 and 1 or 0, refused[1], refused[2], refused[3],
  a.q, a.qt, a.d, a.dn, a.t, a.tt, a.i, a.it }
