-- One chat: a member tells what it knows and wants, may ask for the lease, and is told what all members know.
-- All moments are milliseconds of this server's clock; 0 means never.
-- KEYS  chat, members, held, news
-- ARGV  member, number of the call, chat, since when it wants the indicator or '', what it asks for: '', start or stop,
--       refresh interval, number of its lease or '', how long a lease lasts, how long a request may take effect, TTL,
--       when and what it sent without a lease or '' '', when a message of no session was accepted or '', the ids of its
--       own messages that are new, 'id moment kind' of a webhook about a message that it does not know or '', the marks
local me, n, chat, since, ask = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local interval, lease, lease_for, applies_for = tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])
local ttl, sent_at, sent, message, ids, webhook = ARGV[10], ARGV[11], ARGV[12], ARGV[13], ARGV[14], ARGV[15]
local MARKS = {'applies', 'cleared', 'started', 'stopped', 'settles', 'undone'}
local SHOWN, ASK_AGAIN, GRACE, MOST_IDS = 90000, 500, 40, 8     -- grace: for clocks that disagree

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function alive(member) return tonumber(redis.call('ZSCORE', KEYS[2], member) or -1) >= 0 end
if not alive(me) then return {'unknown', now} end
local fields, set, flat = {}, {}, redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
if n <= tonumber(fields['n:' .. me] or -1) then return {'stale', now} end     -- was given up, and is carried out late
local function put(field, value) fields[field] = value; set[field] = value end
local function drop(field)
  if fields[field] then fields[field] = nil; set[field] = nil; redis.call('HDEL', KEYS[1], field) end
end
put('n:' .. me, n)

-- The marks: the later moment wins.
local mark, news = {}, message ~= ''
local function raise(name, moment)
  if moment > mark[name] then mark[name] = moment; put(name, moment) end
end
for i, name in ipairs(MARKS) do
  local told = tonumber(ARGV[15 + i])
  mark[name] = tonumber(fields[name] or 0)
  news = news or (told > mark[name] + GRACE and (name == 'cleared' or name == 'stopped' or name == 'settles'))
  raise(name, told)
end

-- The messages that members know of. One of somebody else is counted once, whoever is told of it how often.
local known = fields.ids or ' '
for id in string.gmatch(ids, '%S+') do known = ' ' .. id .. known end
local id, at, what = string.match(webhook, '^(%S+) (%d+) (%a+)$')
local is_known, foreign = id and string.find(known, ' ' .. id .. ' ', 1, true), nil
if is_known and what == 'failed' and now < mark.started + SHOWN then      -- what it was thought to have cleared is up
  raise('applies', now)
elseif id and not is_known and what ~= 'failed' then
  known, foreign, news = ' ' .. id .. known, at, true
  raise('stopped', now)
end
if known ~= (fields.ids or ' ') then
  local kept = ' '
  local count = 0
  for each in string.gmatch(known, '%S+') do
    if count < MOST_IDS then kept = kept .. each .. ' ' end
    count = count + 1
  end
  put('ids', kept)
end

-- The lease: who has a request in flight. Only its end is sure to end the request, not the death of its holder.
local holder, number, taken_at, kind = string.match(fields.lease or '', '^(%S+) (%d+) (%d+) (%a+)$')
local function grant(at, what)
  holder, taken_at, kind = me, at, what
  put('lease', table.concat({me, n, at, what}, ' '))
end
local function may_apply(at, what)                   -- nobody will tell how this request ended
  raise(what == 'start' and 'applies' or 'undone', at + applies_for)
  raise('stopped', now)
end
if holder == me and number ~= lease then drop('lease'); holder = nil end      -- also where that was told in vain
if sent ~= '' then
  if holder then may_apply(tonumber(sent_at), sent) else grant(sent_at, sent) end
end
if holder then
  local over = now > taken_at + lease_for
  if over or not alive(holder) then may_apply(taken_at, kind) end
  if over then drop('lease'); holder = nil end
end

-- Who else wants the indicator. What a dead member wanted may be up: it may not have told of its last start.
local others, oldest, dead = {}, nil, {}
for field, value in pairs(fields) do
  local of, member = string.match(field, '^([wnq]):(.+)$')
  if member and not alive(member) then dead[#dead + 1] = field
  elseif of == 'w' and member ~= me then
    others[#others + 1] = member
    local rank = string.format('%015d %s', value, member)
    if not oldest or rank < oldest then oldest = rank end
  end
end
for _, field in ipairs(dead) do
  drop(field)
  if string.sub(field, 1, 1) == 'w' then raise('applies', now) end
end
local first = oldest                                                          -- of all who want it
if since ~= '' then
  local rank = string.format('%015d %s', since, me)
  if not first or rank < first then first = rank end
end
if since == '' then drop('w:' .. me) elseif fields['w:' .. me] ~= since then put('w:' .. me, since) end

-- The verdict.
local up = mark.applies > mark.cleared and now < mark.applies + SHOWN
local due = mark.started + interval
if mark.started < mark.undone then due = math.min(due, mark.undone) end
if mark.started < math.max(mark.stopped, mark.settles) - GRACE then due = 0 end
local verdict, wait = 'no', 0
if ask ~= '' and holder and holder ~= me then verdict, wait = 'busy', math.min(taken_at + lease_for - now, ASK_AGAIN)
elseif ask == 'start' and since ~= '' and now >= math.max(mark.settles, due) - GRACE then verdict = 'go'
elseif ask == 'stop' and #others == 0 and up then verdict = 'go' end
if verdict == 'go' then grant(now, ask) end

local held = since ~= '' or holder == me or (up and #others == 0)             -- whether this member answers for the chat
if held then redis.call('ZADD', KEYS[3], 0, me .. ' ' .. chat) else redis.call('ZREM', KEYS[3], me .. ' ' .. chat) end
if message ~= '' and oldest then put('q:' .. string.sub(oldest, 17), message) end
if foreign and first then put('q:' .. string.sub(first, 17), foreign) end
if news then
  for _, member in ipairs(others) do redis.call('ZADD', KEYS[4], 0, member .. ' ' .. chat) end
end
local quiet = fields['q:' .. me] or ''
drop('q:' .. me)
local changes = {}
for field, value in pairs(set) do changes[#changes + 1] = field; changes[#changes + 1] = value end
redis.call('HSET', KEYS[1], unpack(changes))
redis.call('PEXPIRE', KEYS[1], ttl)
return {verdict, now, wait, #others, held and 1 or 0, quiet,
        mark.applies, mark.cleared, mark.started, mark.stopped, mark.settles, mark.undone}
