"""Small invented conversations, each about an event whose days are known: planned, moved, reported, or both.

Every scene has other events beside the one that is asked for, of the same kind or with times of their own. The days
are written down with their weekday, so that a slip in the gold shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from mnemic import Turn


@dataclass(frozen=True, slots=True)
class Scene:
    """``event`` as a question names it; its ``first`` and ``last`` day as "Thu 2025-06-19"; the talk: a line with a
    date begins a session, the others are turns that two speakers take in turn."""

    event: str
    first: str
    last: str
    talk: str

    def day(self, which: str) -> datetime:
        """Midnight of the ``first`` or ``last`` day."""
        weekday, written = getattr(self, which).split()
        found = date.fromisoformat(written)
        assert found.strftime("%a") == weekday, f"{written} is no {weekday}"
        return datetime.combine(found, time(), UTC)

    def turns(self) -> list[Turn]:
        """The talk with three sessions of chatter that fall between its own."""
        sessions: list[tuple[date, list[str]]] = []
        for line in filter(None, map(str.strip, self.talk.splitlines())):
            if line[:4].isdigit() and len(line) == 10:
                sessions.append((date.fromisoformat(line), []))
            else:
                sessions[-1][1].append(line)
        begun = {at for at, _ in sessions}
        for k, chatter in enumerate(_CHATTER):
            at = sessions[0][0] + (sessions[-1][0] - sessions[0][0]) * (k + 1) / (len(_CHATTER) + 1)
            while at in begun:
                at += timedelta(days=1)
            sessions.append((at, chatter.strip().splitlines()))
        return [
            Turn(text.strip(), "Mia" if i % 2 else "Tom", datetime.combine(at, time(19, i), UTC), f"s{at}")
            for at, lines in sorted(sessions)
            for i, text in enumerate(lines)
        ]


_CHATTER = (
    """How is the garden doing?
    The beans are up, and the neighbour's cat has found them
    I have the dentist on Tuesday, pray for me
    You were brave last time, in January
    What are you cooking tonight?
    Lentils again, I bought too many on Saturday""",
    """Did you watch the match yesterday?
    Only the second half, then the stream froze
    My sister calls every Sunday just to talk about her boss
    That boss sounds like a character from a soap
    I should call mine more often. Next week, I promise""",
    """The lift is broken again, third time this month
    Take it as training
    Four floors with shopping is not training, it is punishment
    They said somebody comes on Wednesday
    They said that in the spring too""",
)

SCENES = (
    Scene(
        "the trip to the coast",
        "Fri 2025-05-09",
        "Sun 2025-05-11",
        """2025-03-12
        That trip to the mountains two weeks ago still hurts in my legs
        You carried the big bag, that was your choice
        2025-04-10
        Shall we go to the coast once more before it gets crowded?
        Oh yes. When?
        Friday the 9th of May to Sunday the 11th, Lena's cabin is free
        I'll ask for the Friday tomorrow
        She wants 80 for the two nights
        2025-05-04
        Packing for the coast is easy, everything gets wet anyway
        Bring the stove
        Friday cannot come soon enough
        2025-05-06
        I bought new boots yesterday
        For sand?
        2025-05-14
        My shoes are still full of sand from the coast
        The seal on Saturday was the best of it
        And the fog when we arrived
        """,
    ),
    Scene(
        "the trip to Lisbon",
        "Sat 2025-04-12",
        "Wed 2025-04-16",
        """2025-02-20
        I am thinking about Lisbon for spring
        Do it, you never travel
        We fly on the 12th of April and come back on the 16th, Ana has already paid
        2025-03-15
        Got a guidebook for Lisbon on Thursday, it weighs a kilo
        Leave it at home and look at the sea
        2025-04-08
        Is the suitcase out already?
        It has been out since Sunday
        Do you need a ride on Saturday?
        No, the train goes straight to the airport
        2025-04-19
        How was Lisbon?
        Steep. Five days of stairs
        We were in a tiled church for most of Monday because of the rain
        """,
    ),
    Scene(
        "Ruth's wedding",
        "Sat 2025-06-07",
        "Sat 2025-06-07",
        """2025-02-02
        Two weddings this year: Ruth marries on Saturday the 7th of June and Paul in September
        Paul? Really?
        Paul's wedding is on the 20th of September, in a barn
        2025-05-18
        Have you got something to wear for Ruth's wedding?
        I tried my suit on Friday. It has shrunk
        2025-06-03
        Ruth is not nervous at all, only her mother
        I have to write the speech by Thursday
        2025-06-10
        Ruth's wedding was lovely, thanks for driving
        Her father danced until four
        And you cried on Saturday, I saw it
        2025-09-23
        Paul's wedding was on Saturday and the barn was cold
        """,
    ),
    Scene(
        "Ivan's wedding",
        "Sat 2025-05-17",
        "Sat 2025-05-17",
        """2025-05-02
        My cousin wants a band for her party in August
        Everybody wants a band
        2025-05-12
        I have a new grey tie
        For what?
        2025-05-21
        Ivan's wedding last Saturday was chaos, the cake fell
        Was there another one?
        His aunt drove to three bakeries
        Poor Ivan
        2025-06-20
        Ivan sent the wedding pictures yesterday
        Is the cake on them?
        """,
    ),
    Scene(
        "the move to the new flat",
        "Mon 2025-03-03",
        "Mon 2025-03-03",
        """2025-02-04
        We got the new flat! I signed on Friday
        Congratulations! When do you move?
        Monday the 3rd of March, the van is booked
        I can help carry
        2025-02-22
        Thirty boxes so far, and the move is still a week away
        I collect the keys on Thursday
        2025-03-01
        The fridge is empty and the flat echoes
        I come at eight on Monday
        Bring gloves
        2025-03-05
        The move went well, only one lamp broke
        My back says otherwise
        2025-04-11
        My office moves next month too, to the harbour
        """,
    ),
    Scene(
        "Clara moved to Leeds",
        "Fri 2025-08-15",
        "Fri 2025-08-15",
        """2025-06-30
        Clara has been looking at flats in Leeds again
        Does she mean it this time?
        She has an interview there on Thursday
        2025-07-25
        Clara got the job in Leeds and starts in September
        So she will have to move soon
        2025-08-11
        Clara's flat is all boxes. The van for Leeds comes on Friday
        Somebody has to take the plants
        2025-08-18
        Clara is in Leeds now, she moved on Friday
        How is it?
        Loud. There was a party below her on Saturday
        2025-10-06
        I visited Clara in Leeds last weekend
        """,
    ),
    Scene(
        "my driving test",
        "Thu 2025-10-16",
        "Thu 2025-10-16",
        """2025-09-19
        I failed the theory exam on Monday by one point
        And the second try?
        Passed it this morning. The driving test is on the 16th of October
        That is close
        2025-10-05
        My instructor says I brake like a train
        He says that to everyone. How is the parking?
        Better since Wednesday
        2025-10-12
        Thursday is the driving test and I dream of roundabouts
        You will be fine
        2025-10-17
        I passed the driving test yesterday!!
        I knew it. Drive me somewhere on Sunday
        2025-11-20
        The test for the motorbike is in December
        """,
    ),
    Scene(
        "the chemistry exam",
        "Thu 2025-02-13",
        "Thu 2025-02-13",
        """2025-01-30
        The biology exam on Monday was a joke, in a good way
        And what comes now?
        2025-02-05
        The chemistry exam is next Thursday and I know nothing
        Start with the acids
        I start tomorrow
        You said that on Sunday
        2025-02-09
        I have done four old papers for chemistry
        Four in three days is good
        The acids were a good tip
        2025-02-15
        Chemistry is over. It was hard but fair
        When do you hear?
        In three weeks
        2025-03-08
        I got a B in chemistry, the letter came yesterday
        """,
    ),
    Scene(
        "my knee operation",
        "Fri 2025-03-14",
        "Fri 2025-03-14",
        """2025-01-20
        The surgeon can do the knee. The operation is on 14 March
        Does it have to be?
        Since the ski weekend, yes
        2025-02-11
        Our dog had an operation yesterday, a tooth
        Poor thing. Does she eat?
        2025-03-08
        I bought crutches on Tuesday, for after the operation
        Will you need help with the shopping on Friday?
        2025-03-16
        I am home with the new knee. They let me go yesterday
        How was the operation?
        I remember nothing, they said forty minutes
        2025-04-14
        A month after the operation and I can do stairs
        """,
    ),
    Scene(
        "Dad's surgery",
        "Tue 2025-11-11",
        "Tue 2025-11-11",
        """2025-10-10
        Dad's surgery is on Tuesday the 4th of November
        So soon? And the doctor is sure?
        Quite sure
        2025-10-27
        They called about Dad's surgery: it has been moved, it is now on Tuesday the 11th
        A week longer to worry
        My aunt came on Sunday to calm him
        2025-11-07
        Dad packs his bag for the surgery as if for a cruise
        Tell him Tuesday will go well
        2025-11-13
        The surgery went fine, Dad complains about the tea
        Then he is well
        He has been complaining since Wednesday
        2025-12-01
        Our cat needs surgery on Thursday
        """,
    ),
    Scene(
        "the jazz concert",
        "Fri 2025-08-22",
        "Fri 2025-08-22",
        """2025-07-07
        I bought tickets for the jazz concert on Monday
        Which one?
        The one in the park, on Friday the 22nd of August
        Count me in
        2025-07-28
        The choir concert on Saturday was too long
        Choirs are
        2025-08-18
        Do we eat before the jazz concert?
        There are stalls in the park
        Friday looks dry, says the forecast
        2025-08-25
        That trumpet player at the jazz concert! I still hear her
        And it did not rain until we were home
        """,
    ),
    Scene(
        "the rock concert",
        "Wed 2025-09-10",
        "Wed 2025-09-10",
        """2025-08-14
        The opera on Sunday was four hours long
        I would have slept
        2025-09-01
        My cousin gave me his ticket for the rock concert, he broke his arm on Saturday
        Lucky you, unlucky him
        2025-09-10
        Earplugs are packed, the rock concert is tonight
        Tell me everything
        2025-09-13
        Do your ears still ring from the rock concert?
        Since Wednesday, yes
        2025-10-04
        Another concert? You live in a queue
        """,
    ),
    Scene(
        "our weekend in Bruges",
        "Fri 2025-10-03",
        "Mon 2025-10-06",
        """2025-08-30
        We were in Ghent last weekend and it rained
        It always rains there
        2025-09-15
        We should see Bruges as well while the train is cheap
        I only have time in October
        2025-10-08
        Bruges was perfect. We stayed from Friday to Monday, the house was on a canal
        And the swans?
        Rude, as you said
        You got the good weather
        2025-11-02
        I printed the picture from Bruges on Thursday
        """,
    ),
    Scene(
        "the hike on the ridge",
        "Thu 2025-05-29",
        "Sun 2025-06-01",
        """2025-04-22
        The hike in the valley on Sunday was too short for me
        Then let us do the ridge! Four days, with huts
        When?
        The long weekend, from the 29th of May to the 1st of June
        I have to ask at work tomorrow
        2025-05-20
        Are the huts on the ridge confirmed?
        The last one wrote back on Sunday
        2025-05-26
        Weather for the ridge: sun, then more sun
        I packed yesterday, eleven kilos
        2025-06-04
        Everything hurts, but what a ridge
        The goats on Saturday morning, in the tent!
        """,
    ),
    Scene(
        "the job interview",
        "Wed 2025-01-22",
        "Wed 2025-01-22",
        """2025-01-09
        I sent the application for the library job on Monday
        They will call
        2025-01-14
        They called yesterday! The job interview is next Wednesday at ten
        What do you wear?
        The blue one
        2025-01-18
        Ask me interview questions
        What is your greatest weakness?
        Questions like that
        2025-01-24
        The interview was on Wednesday and they were kind
        When will you know?
        They decide on the 31st
        2025-02-12
        My brother has an interview tomorrow
        """,
    ),
    Scene(
        "the baby was born",
        "Sun 2025-07-13",
        "Sun 2025-07-13",
        """2025-05-05
        Sara's baby is due in the middle of July
        Have they got a name?
        They quarrel about it every Friday
        2025-07-08
        Any news of the baby?
        Not yet. Sara cleans the windows
        2025-07-14
        The baby was born yesterday! A girl, 3400 grams
        Oh how wonderful! And the name?
        Still no name
        2025-07-22
        The baby is called Juno since Saturday
        It was about time
        2025-09-01
        Our neighbours had a baby on Thursday too
        """,
    ),
    Scene(
        "the marathon",
        "Sun 2025-04-27",
        "Sun 2025-04-27",
        """2025-01-15
        I have signed up for the marathon, it is on Sunday the 27th of April
        You are mad
        There is a half marathon on 16 March to practise
        2025-03-18
        The half marathon on Sunday took me two hours
        Not bad for a mad person
        2025-04-22
        I ran the last long one on Saturday, now only rest before the marathon
        Eat pasta
        2025-04-29
        I finished the marathon in four hours ten
        I saw you at kilometre thirty on Sunday, you were green
        """,
    ),
    Scene(
        "the fun run",
        "Sat 2025-09-06",
        "Sat 2025-09-06",
        """2025-08-20
        My company wants everyone to run five kilometres dressed as fruit
        Which fruit?
        I have until Monday to choose
        2025-09-01
        I will be a pear
        A brave choice
        2025-09-06
        Just home from the fun run, I came in behind a banana
        Send pictures!
        The pear costume did not survive
        2025-09-20
        We got a medal for the fun run, a wooden one
        Where will it hang?
        """,
    ),
    Scene(
        "Ella's party",
        "Sat 2025-03-22",
        "Sat 2025-03-22",
        """2025-03-02
        Ella turns thirty! The party is on Friday the 21st
        I cannot on Fridays, I have choir
        2025-03-09
        Ella asked around: the party is on Saturday the 22nd now, because of the choir people
        I am the choir people. Thank her
        2025-03-16
        What do we give Ella?
        A lamp. I saw one on Thursday
        2025-03-19
        I have ordered the lamp for Ella's party, it comes on Friday
        2025-03-25
        Ella's party was loud and good
        The lamp hangs already
        2025-06-12
        Max gives a party on Saturday
        """,
    ),
    Scene(
        "grandma's funeral",
        "Tue 2025-01-28",
        "Tue 2025-01-28",
        """2025-01-16
        Grandma died on Tuesday, in her sleep
        I am so sorry
        2025-01-21
        The funeral will be in her village. My uncle arranges it
        Do you want me to come along?
        That would be kind
        2025-01-29
        Yesterday was grandma's funeral. Thank you for being there
        Your mother spoke well
        2025-02-09
        We cleared out grandma's kitchen on Friday
        Did you keep the pans?
        """,
    ),
    Scene(
        "the pipe burst",
        "Mon 2025-12-01",
        "Mon 2025-12-01",
        """2025-11-15
        The bathroom tap drips, the plumber comes on Wednesday
        Mine has dripped since March
        2025-12-02
        A pipe burst last night, the whole kitchen is under water
        No! What did you do?
        Turned it off, mopped until three
        2025-12-06
        Since the pipe burst we eat in the bedroom
        The floor man comes on Tuesday
        2025-12-20
        The insurance pays for the pipe, they wrote on Thursday
        """,
    ),
    Scene(
        "I started at the bakery",
        "Mon 2025-09-08",
        "Mon 2025-09-08",
        """2025-08-23
        I got the job at the bakery! They rang on Friday
        When do you start?
        Monday the 8th of September, at four in the morning
        Four!
        2025-09-03
        I have practised getting up since Monday
        For the bakery?
        For the bakery. I am dead by eight
        2025-09-10
        Third day at the bakery and I smell of butter
        Bring some on Sunday
        2025-11-04
        Tom from the bakery starts his own shop in January
        """,
    ),
    Scene(
        "the camping trip",
        "Fri 2025-07-11",
        "Sun 2025-07-13",
        """2025-06-15
        The tent is dry again, we could go camping
        Where, by the river?
        By the river, where the old mill is
        And when?
        The 11th to the 13th of July
        Fine, I have no plans
        2025-07-06
        Did you find the pegs for the camping trip?
        I found six on Thursday
        Six is enough if there is no wind
        2025-07-15
        The camping trip gave me forty bites
        I counted mine on Sunday and stopped at fifty
        2025-08-28
        A trip to the zoo on Saturday, do you want to come?
        """,
    ),
    Scene(
        "the holiday in Crete",
        "Sat 2025-08-02",
        "Sat 2025-08-16",
        """2025-03-30
        The holiday in Norway at Easter is off, my leave was refused
        And in summer?
        Crete! From Saturday 2 August to Saturday 16 August
        You have earned it
        2025-07-21
        Only twelve days until Crete
        Have you learnt some Greek?
        I had a lesson on Friday
        2025-07-29
        I am packed for Crete
        Already?
        I packed on Sunday
        2025-08-19
        Back from Crete, brown and broke
        Was the sea warm?
        Like soup. On the last Thursday we swam at night
        """,
    ),
)
TUNED = SCENES

HELD_OUT = (
    Scene(
        "the trip to Vienna",
        "Thu 2025-10-23",
        "Sun 2025-10-26",
        """2025-09-02
        The trip to Prague was too short, three nights are nothing
        We should do Vienna properly then
        Thursday the 23rd of October to Sunday the 26th?
        Booked. The hotel has a piano
        2025-10-12
        What do people wear in Vienna?
        Coats. I bought one on Friday
        2025-10-20
        Two more sleeps and a bit until Vienna
        I hope the train is on time on Thursday
        2025-10-29
        Vienna has ruined me for other cake
        The museum on Saturday was my favourite part
        """,
    ),
    Scene(
        "Nina's wedding",
        "Fri 2025-07-18",
        "Fri 2025-07-18",
        """2025-04-06
        Nina and Joe have a date! The wedding is on Friday the 18th of July
        A Friday? Brave
        2025-07-07
        I found shoes for Nina's wedding on Saturday
        Do they hurt?
        2025-07-16
        The rings for Nina came back from the engraver yesterday
        Then nothing can go wrong on Friday
        2025-07-21
        Nina's wedding went on until six in the morning
        I left at two on Saturday and felt old
        2025-08-30
        Another wedding invitation, this one for next May
        """,
    ),
    Scene(
        "we moved to the farm",
        "Sat 2025-11-01",
        "Sat 2025-11-01",
        """2025-09-14
        The farm is ours! The notary signed on Wednesday
        When do you go?
        We move on the 1st of November
        2025-10-25
        The chickens have arrived at the farm before us
        Who feeds them?
        The old owner, until Saturday
        2025-11-04
        We moved to the farm on Saturday and it rained in through the roof
        Romantic!
        On Sunday we bought buckets
        2025-12-10
        My parents moved to the coast last week
        """,
    ),
    Scene(
        "the French exam",
        "Tue 2025-06-24",
        "Tue 2025-06-24",
        """2025-05-30
        How long until the French exam?
        It is on the 24th of June, so not long enough
        2025-06-13
        My history exam was yesterday, I wrote eleven pages
        And French?
        Every day a little
        2025-06-22
        On Tuesday is the French exam and I have a cold
        Honey and verbs
        2025-06-26
        The French exam was easier than the old ones
        What did they ask on Tuesday?
        A letter to a landlord
        """,
    ),
    Scene(
        "Leo's operation",
        "Mon 2025-02-17",
        "Mon 2025-02-17",
        """2025-02-01
        The vet says Leo needs an operation on his paw
        Poor Leo. How soon?
        Monday in two weeks, the 17th
        2025-02-15
        No food for Leo from tomorrow evening, because of the operation
        He will hate you
        2025-02-19
        Leo's operation went well, he has a collar like a lamp
        Does he sleep?
        Since yesterday, yes
        2025-03-09
        The stitches came out on Thursday
        """,
    ),
    Scene(
        "the school play",
        "Thu 2025-12-11",
        "Thu 2025-12-11",
        """2025-11-08
        Emma is a tree in the school play
        When can we see the tree?
        The play was meant for the 10th of December, but they moved it to Thursday the 11th
        2025-12-05
        The tree costume for the school play has lost its leaves
        I have glue. I can come on Sunday
        2025-12-12
        The school play last night was wonderful, the tree did not move once
        She practised for weeks
        2025-12-20
        The choir sings on Monday
        """,
    ),
    Scene(
        "the sailing weekend",
        "Sat 2025-08-30",
        "Sun 2025-08-31",
        """2025-08-12
        My boss has a boat and nobody to sail with
        You can sail?
        I can hold a rope. He asked me for the weekend of the 30th
        2025-08-25
        Is it this weekend, the sailing?
        Yes, from Saturday morning until Sunday night
        2025-09-02
        The sailing weekend was wet from above and below
        Were you sick?
        On Sunday, yes, all over the rope
        2025-09-21
        He asked me again, for October
        """,
    ),
    Scene(
        "the break-in",
        "Wed 2025-03-19",
        "Wed 2025-03-19",
        """2025-03-11
        The lock of the cellar is broken since Sunday
        Tell the landlord
        2025-03-20
        We had a break-in last night. They took the bikes from the cellar
        Oh no! Did you call the police?
        They came this morning
        2025-03-29
        After the break-in we all got new locks
        Finally
        The man was here on Thursday
        2025-04-15
        They found one of the bikes on Friday
        """,
    ),
)
