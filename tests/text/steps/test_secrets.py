"""Secrets: what is marked, what ordinary chat keeps, and what no input may do."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemic.text.record import Span
from mnemic.text.steps.secrets import LABELS, find, mask

# One telling a line; the secret stands between the brackets. A broken bar splits well-known prefixes, so that no
# scanner of repositories takes these invented values for real ones.
POSITIVES = {
    "password": r"""
the wifi password is ⟦sunny-otter-42⟧
pw: ⟦hunter2⟧
login is ana / ⟦Tr0ub4dor&3⟧
passphrase ⟦correct horse battery staple⟧
my password used to be ⟦Blue!Fish9⟧, I changed it to ⟦Red!Fish10⟧.
⟦opensesame77⟧ is my Netflix password, don't tell Mark
I finally reset my password to ⟦Kite_Surf_88⟧ and it worked
Password for the router: ⟦dragonfruit⟧
here are the credentials - admin:⟦toor!123⟧
Username: ana.lopez Password: ⟦Mx9$kk2p⟧
the password to my old laptop was "⟦purple rain 1984⟧"
use ⟦welcome2Hell⟧ as the password when it asks
you asked for the wifi password? it's ⟦GreenTea#5⟧
Our guest network password is now ⟦swordfish⟧, lowercase.
pwd=⟦q1w2e3r4⟧
Gmail pass: ⟦Lily2011!⟧
the passphrase for the backup disk is ⟦seven tired turtles dancing⟧.
Mi contraseña es ⟦Gato-Negro7⟧
das Passwort ist: ⟦Winter2024!⟧
{"user": "bob", "password": "⟦p@ssw0rd99⟧"}
export DB_PASSWORD='⟦s3cr3t-sauce⟧'
postgresql://app:⟦fl0wer-P0wer⟧@db.internal:5432/prod
dbPassword = "⟦hunter2x⟧"
**Password:** `⟦Zebra-1999-Tango⟧`
so I told him the wifi is CasaLoma / ⟦maracuya55⟧
I got sick of it and changed the Spotify password, it's ⟦Vinyl4Ever⟧ from today on
Is the password still ⟦Mango123⟧?
password ⟦Qwerty!2345⟧ works for both accounts
btw the Hulu login changed, new password: ⟦PopcornNight!7⟧
Can you remember that my laptop password is ⟦Rover&Luna2016⟧?
The WiFi at grandma's: network "Oakhouse", password "⟦applepie1950⟧"
I always type ⟦monkey-wrench-88⟧ for my work password
Our vault passphrase is ⟦velvet thunder quietly melts glass⟧
mongodb+srv://svc_user:⟦Vn8kQz2p⟧@cluster0.mongodb.net
he updated the admin password from ⟦Spring2022$⟧ to ⟦Autumn2023$⟧
ssh root / ⟦x7#Lp0qq⟧ if you need to restart the box
Note to self: Instagram pw changed to ⟦beachBum!93⟧
If you need the Disney+ one, email is kim@mail.com and password is ⟦Nemo-Dory-4⟧
for the NAS log in with admin and ⟦9Tigers!roar⟧
My old passphrase was ⟦yellow submarine sandwich club⟧ but I dropped it
Wifi password at the office = ⟦C0ffeeBreak⟧
""",
    "pin": r"""
my pin is ⟦4921⟧
the SIM PIN: ⟦0074⟧ and the PUK is on the card
use pin ⟦883201⟧ for the tablet
Mom's debit card pin number is ⟦5 5 1 9⟧
My phone passcode is ⟦112358⟧
⟦2468⟧ is the pin for the gym app
my pin is ⟦four nine two one⟧
PIN for the blue Visa is ⟦6027⟧
grandpa's phone unlocks with passcode ⟦190347⟧
I changed my pin from the default to ⟦8305⟧
can you save that the PIN to my safe deposit card is ⟦7741⟧?
the tablet pin is still ⟦0852⟧
""",
    "code": r"""
oh and the door code's ⟦7788#⟧, come in through the back
The gate code is ⟦#4411⟧
alarm code: ⟦90876⟧
combination to my locker is ⟦36-24-18⟧
the code for the garage is ⟦5150⟧, then press enter
safe combo: ⟦12 right, 30 left, 7 right⟧
Airbnb host says the lockbox code is ⟦A4B9⟧
your verification code is ⟦391 204⟧
⟦G-558213⟧ is your Google verification code.
OTP ⟦774120⟧, valid for 10 minutes
My bank texted: one-time code ⟦88213447⟧
Here's the 2FA code they sent me: ⟦003918⟧
Backup codes: ⟦8f3k-22ls⟧, ⟦9dk2-41mm⟧, ⟦77aa-0q1z⟧
Save my recovery key ⟦K7QF-9P2X-44RT-M8ZD⟧ somewhere
Use code. Your code is ⟦481516⟧. Do not share it.
press ⟦*2580#⟧ — that's the entry code for the stairwell
The storage unit's padlock combination: ⟦07-31-15⟧
To get in, the keypad code is ⟦C1457X⟧
Your Uber code is ⟦4432⟧. Never share this code.
⟦905 118⟧ is your login code, it expires in five minutes
my github recovery codes are ⟦a1b2c-3d4e5⟧ and ⟦f6g7h-8i9j0⟧
Burglar alarm disarm code ⟦33914⟧
her bike lock combination's ⟦8-2-7-4⟧
Apple says my verification code is: ⟦620-114⟧
""",
    "key": r"""
openai key: ⟦sk¦-proj-Ab12Cd34Ef56Gh78Ij90Kl12Mn34⟧
remote set-url https://github.com with ⟦gh¦p_16C7e42F292c6912E7710c838347Ae178B4a⟧ please
aws id ⟦AK¦IAQ3EGRT5WZ7XK2LMN⟧
AWS_SECRET_ACCESS_KEY=⟦wJalrXUtnF3MI/K7MDENG/bPxRfiCYzzTOPKEY⟧
slack bot ⟦xo¦xb-2123456789-abcDEF123ghi456⟧
maps uses ⟦AI¦zaSyD4x8Qe7Zk1mN0pR2sT5uV6wX9yB3cE8fG⟧
CI job has ⟦gl¦pat-x9Yt7PqR2mNvLk3Js5Hd⟧
cookie jwt=⟦ey¦JhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dQw4w9WgXcQ_r-T1⟧;
curl -H "Authorization: Bearer ⟦a8f5f167f44f4964e6c998dee827110c⟧" https://x.io
SECRET=⟦9s8d7f6g5h4j3k2l1⟧
the api key is ⟦3f9a1c77b2d84e0f9c61aa52⟧
clientSecret: '⟦mB7~x9Qp2LzR4vT8⟧'
Windows license key ⟦VK7JG-NPHTM-C97JM-9MPGT-3V66T⟧
signing key = ⟦Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA==⟧
stripe secret ⟦sk¦_live_51HxYz2eZvKYlo2C0aBcDeFgH⟧
The token for Home Assistant is ⟦c0ffee12deadbeef34567890abcd9876⟧
HF_TOKEN=⟦hf¦_QwErTyUiOpAsDfGhJkLz12345678⟧
Put this in .env: STRIPE_WEBHOOK_SECRET=⟦wh¦sec_9aB8cD7eF6gH5iJ4kL3m⟧
the license key for Sublime is ⟦EA7E-890007-DD33-44F1⟧
""",
    "card": r"""
charge it to ⟦4111 1111 1111 1111⟧ exp 12/27
my amex ⟦3782-822463-10005⟧
Mastercard number: ⟦5555555555554444⟧.
Put it on my Visa, ⟦4012888888881881⟧, please.
use the card ⟦6011000990139424⟧ for the deposit
""",
    "cvv": r"""
and the CVV is ⟦737⟧
cvc ⟦1234⟧ on the front
card security code: ⟦902⟧
expires 09/27, security code ⟦418⟧
""",
    "account": r"""
wire it to ⟦DE89 3704 0044 0532 0130 00⟧ please
IBAN: ⟦GB29NWBK60161331926819⟧
my account number is ⟦31926819⟧, sort code ⟦60-16-13⟧
Routing number ⟦021000021⟧
You can send rent to account no. ⟦00456 7789 12⟧ at Chase
my checking account number's ⟦000123456789⟧
""",
    "document": r"""
my passport number is ⟦X1234567⟧
SSN ⟦123-45-6789⟧
her social security number: ⟦078 05 1120⟧
Driving licence no. ⟦MORGA657054SM9IJ⟧
our tax ID is ⟦12-3456789⟧
National Insurance number: ⟦QQ 12 34 56 C⟧
passport (Italian) YA is expired; new passport no is ⟦YB9876543⟧
Here's my passport no: ⟦GB 5529104⟧
The social for my wife is ⟦219-09-9999⟧
I need to fill in my SSN, it's ⟦536-22-8841⟧
""",
    "seed": r"""
seed phrase: ⟦abandon ability able about above absent absorb abstract absurd abuse access accident⟧
my 12 words are ⟦legal winner thank year wave sausage worth useful legal winner thank yellow⟧.
Recovery phrase: 1. ⟦army 2. van 3. defense 4. cup 5. jar 6. true 7. olive 8. claim 9. echo 10. gym 11. make 12. rib⟧
""",
}

ORDINARY = r"""
I forgot my password again
what's the wifi password?
the password should be at least 8 characters
I have the code review at 3
pin the note to the top please
my order number is 4521998812
key lime pie is the best dessert
call me at +1 415 555 2671
we met on 12/05/2023 in Lisbon
it cost $1,299.99 at the store
flight BA2490 leaves at 18:45
we won 3-2 in the end
my zip code is 90210
the area code is 415
the dress code is casual
the source code is 3000 lines long
use promo code SAVE20 at checkout
the discount code is SUMMER2023
The password is wrong
My password is too long to remember
the password was changed last week
Password: must contain 12 characters and a number
is your password strong enough?
Passwords are hard to remember
please reset my password to something stronger
I set my password to expire every 90 days
the password is case-sensitive
a good password is long and unique
the pin is missing from the hinge
I bought a pin for my jacket
I need 3 pins and 20 needles
she bowled 10 pins in 2019
our PIN code area is 560001
the secret is patience
the secret to a good stew is 3 hours of simmering
his secret is safe with me
can you keep a secret?
the key is under the mat
the key is to practice every day
key takeaways: 1. sleep 2. eat well
The song is in the key of C minor
Tokens: GPT-4 has a context of 8192 tokens
I have 500 tokens left in the game
the tokens are worth 25 cents each
my library card is due on 2023-11-05
the card ending in 4242 was charged
I sent her a birthday card on the 14th
baseball card number 4532 from 1989
tracking number 9400111899223344556677
tracking number: 4111111111111111
invoice 20230514-0012 is due
the error code is 404
error code 500123 shows up on the dishwasher
country code is +44
Morse code is fun
I like to code in Python 3.11
write code: def f(x): return x * 2
the QR code is on the menu
the course code is CS101
the color code is #FF5733
product code B0798V2ZQ7
my passport expires in 2027
my passport is blue
I renewed my passport on 03/04/2021
passport photos cost 15 dollars
I got my driver's license in 2009
my driver's license expires 2026-08-01
social security is a big topic in 2024
tax season ends on April 15
the tax was 1250 dollars
my account has 1500 followers
my account is locked
account manager John will call at 10:30
the bank account has 25000 dollars in it
I opened a savings account in 2015
log in to the website first
the login page is down
login is at 9/10 every day
my username is skywalker77
the wifi is slow / unstable
the wifi is 5GHz
verification takes 2 days
they never sent me the verification code
enter the code we sent to your phone
I got a code by text but it expired
the verification code expires in 10 minutes
the safe is in the bedroom
the alarm is set for 6:30
alarm at 0700 tomorrow
the combination of red and blue is purple
a combination of 3 factors
combination therapy worked
locker room was cold
gate 14B, boarding at 17:20
the door is open from 9 to 5
the garage holds 2 cars
seed the lawn in spring
chia seeds: 2 tablespoons
the recovery took 12 weeks
a backup of 500 GB
I need 12 words for the crossword and they must all be long ones with vowels
the passage on page 4921 is lovely
I'll pass on that, thanks
bus pass: 45 dollars a month
boarding pass: Gate B22
pass me the salt
the pass is closed in winter
compass north 1234
pinned message 2048
shopping list: 2 eggs
spinning class 1830
Tokyo 2020 was held in 2021
my phone number is 555-867-5309
her number is 07700 900123
ISBN 978-3-16-148410-0
coordinates 40.7128, -74.0060
we live at 4921 Pine Street
meeting id 845 2231 9981
the model number is WH-1000XM4
patient weighs 78 kg, BP 120/80
ratio 16:9, 1920x1080
password manager 1Password is great
try a password manager like Bitwarden
Never share your password or PIN with anyone.
Enter your password: ********
password: <your password here>
password = os.environ["DB_PASSWORD"]
password = getpass.getpass()
def login(user: str, password: str) -> bool:
if password == "": raise ValueError
API_KEY=your_api_key_here
token = get_token(request)
secret = None
const apiKey = process.env.API_KEY
Authorization: Bearer <token>
mysql://user:password@localhost/db is the form
https://example.com:8080/path
the sk-learn package is useful
task-management-and-more-things-to-do
the seed phrase is twelve words you must never share with anyone at all
my recovery phrase is written down
use a passphrase of four random words
A PIN is usually 4 digits
my cat's name is Pixel2
the password hint is my first pet
someone guessed my password
my passport application was sent 3 weeks ago
the cvv is on the back
What is a CVV?
IBAN stands for International Bank Account Number
routing number is on the bottom of the check
the sort code is printed on your card
sort code by date, 2023 first
The access was granted in 2022
the building code requires 36 inches
My ticket confirmation is Q7XK2P
commit 3f9a1c77b2d84e0f9c61aa52b1d0c7e8f9a0b1c2 fixes it
md5 5d41402abc4b2a76b9719d911017c592
uuid 123e4567-e89b-12d3-a456-426614174000
the password changed 3 times
I changed it to Tuesday at 15:30
login streak: day 365
user 4021 / 5000 signed up
Ugh, Netflix wants a new password every month
Did you ever tell me the alarm code?
Choose a password with 12 or more characters.
The password reset email never arrived
My password is the same everywhere, bad habit I know
He said the password was on a sticky note
The username is taken and the password is blank
I wrote the PIN on the back of the card like an idiot
PIN entry failed 3 times
We need a new pin for the hinge, 8 mm
The bobby pins were 99 cents
The gate is at the end of the road, house 4411
Gate 22 closes at 16:05
I live in apartment 1204, building C
The combo meal was 8.99
The combination of 5 spices works
My locker is number 212
The safe word is a running joke
The alarm went off at 5:45 again
The code compiles in 42 seconds
We wrote 12000 lines of code in 2022
The promo code is FALL30 until Sunday
The booking code is QX7T9L
Our postal code is SW1A 1AA
Voucher code: HELLO10
I paid by card, 42.50 euros
The card number is embossed on the front
Order 4532015112830366 shipped yesterday
My phone: 0044 7911 123456
The API key is stored in the vault
tokens per second: 1543
An access token lasts 3600 seconds
You need an API key to use the service
I lost my passport in 2018 in Madrid
The passport office opens at 09:00
My driver's license test is on 14/06
We filed taxes, refund of 1830
Chapter 12 words: serendipity, wander, glimpse
The account was opened on 2019-04-12
Sort the routes by code and number: 10, 20, 30
The Enigma key settings were changed daily
I changed my password from the app
Which password did you use for my account?
the password is the name of my first dog
password reset link expires in 24h
we need to update the wifi, it's slow
my card is maxed out at 5000
The 3-digit code was unreadable
I log in at 8:30 every morning
The pin code of Mumbai is 400001
His bank account is at 12000 now
They changed the locks to Yale 2000s
Login: see the README.md
The token ring network dates from 1984
My key is C# minor
Pass: 85%, Fail: 15%
The combination of A4 paper and ink
I was in locker 1408
Code: 80% done
OTP means one true pairing
The secret ingredient is 2 tbsp of miso
"""


def parse(line: str) -> tuple[str, list[tuple[int, int]]]:
    text, spans, start = "", [], 0
    for char in line.replace("¦", ""):
        if char == "⟦":
            start = len(text)
        elif char == "⟧":
            spans.append((start, len(text)))
        else:
            text += char
    return text, spans


def lines(block: str) -> list[str]:
    return block.strip().split("\n")


TOLD = [(label, line) for label, block in POSITIVES.items() for line in lines(block)]


@pytest.mark.parametrize(("label", "line"), TOLD)
def test_a_told_secret_is_marked_exactly(label: str, line: str) -> None:
    text, expected = parse(line)
    assert expected
    found = find(text)
    assert [(span.start, span.end) for span in found] == expected
    assert found[0].label == label


@pytest.mark.parametrize("text", lines(ORDINARY))
def test_ordinary_talk_stays(text: str) -> None:
    assert find(text) == []


def test_the_tables_are_large_enough() -> None:
    assert len(TOLD) >= 60
    assert len(lines(ORDINARY)) >= 120
    assert set(POSITIVES) == set(LABELS)


def test_a_private_key_block_is_one_span() -> None:
    body = "MIIEowIBAAKCAQEAtz9J3kQ7Yw1mB2p" + "\n" + "Q9xY7Zk1mN0pR2sT5uV6wX9yB3cE8fGh" + "\nab12=="
    block = "-----BEGIN RSA PRIVATE" + " KEY-----\n" + body + "\n-----END RSA PRIVATE" + " KEY-----"
    for shown in (block, block.replace("\n", "\\n")):
        text = f"deploy with\n{shown}\nthanks"
        assert [text[span.start : span.end] for span in find(text)] == [shown]
    assert find("a file that says -----BEGIN PRIVATE" + " KEY----- is a private key") == []


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("4111 1111 1111 1111", "4111 1111 1111 1112"),
        ("378282246310005", "378282246310006"),
        ("FR14 2004 1010 0505 0001 3M02 606", "FR14 2004 1010 0505 0001 3M02 607"),
        ("NL91ABNA0417164300", "NL91ABNA0417164301"),
    ],
)
def test_checksums_decide(good: str, bad: str) -> None:
    assert [good[span.start : span.end] for span in find(good)] == [good]
    assert find(bad) == []


def test_offsets_hold_after_letters_that_grow_in_lower_case() -> None:
    text = "İİİ \U0001f511 the wifi password is ⟦sunny-otter-42⟧ İ"
    plain, expected = parse(text)
    assert [(span.start, span.end) for span in find(plain)] == expected


def test_cues_of_other_languages() -> None:
    for text in ("我的密码是abc12345", "mi clave es Luna-Roja-9", "пароль: Зима2024"):
        assert [span.label for span in find(text)] == ["password"]


def test_mask_writes_labels() -> None:
    text = "pw: hunter2, pin 4921"
    assert mask(text, find(text)) == "pw: [secret:password], pin [secret:pin]"
    assert mask(text, []) == text
    assert mask("", [Span(0, 5, "pin")]) == ""


def test_mask_bears_stored_spans_in_any_state() -> None:
    spans = [Span(8, 99, "pin"), Span(-5, 2, "key"), Span(4, 6, "Bad]\n label"), Span(5, 7, "pin"), Span(3, 3, "pin")]
    assert mask("abcdefghij", spans) == "[secret:key]cd[secret:other]h[secret:pin]"


@pytest.mark.parametrize(("label", "line"), TOLD)
def test_masked_text_holds_no_secret(label: str, line: str) -> None:
    text, expected = parse(line)
    masked = mask(text, find(text))
    assert all(text[start:end] not in masked for start, end in expected)
    assert find(masked) == []


FRAGMENTS = st.sampled_from(
    [parse(line)[0] for _, line in TOLD]
    + lines(ORDINARY)
    + [
        "password",
        " is ",
        ": ",
        "=",
        '"',
        "'",
        "pin ",
        "code ",
        "[secret:",
        "]",
        "[secret:pin]",
        "\n",
        "4111",
        " 1",
        "eyJ",
        "://a:",
        "@",
    ]
)
TEXTS = st.text() | st.lists(FRAGMENTS | st.text(max_size=6), max_size=8).map("".join)
SPANS = st.lists(
    st.builds(Span, st.integers(-9, 60), st.integers(-9, 80), st.sampled_from(LABELS) | st.text(max_size=9))
)


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_any_text_gives_sorted_spans_within_it(text: str) -> None:
    found = find(text)
    edges = [edge for span in found for edge in (span.start, span.end)]
    assert edges == sorted(edges)
    assert all(0 <= span.start < span.end <= len(text) and span.label in LABELS for span in found)
    masked = mask(text, found)
    assert mask(masked, found) == masked
    assert masked.count("[secret:") >= len(found)


@given(st.text(max_size=40), SPANS)
@settings(max_examples=300, deadline=None)
def test_masking_twice_is_masking_once(text: str, spans: list[Span]) -> None:
    masked = mask(text, spans)
    assert mask(masked, spans) == masked
    covered = {place for span in spans for place in range(max(span.start, 0), span.end)}
    kept = "".join(char for place, char in enumerate(text) if place not in covered)
    if "[" not in text:
        assert re.sub(r"\[secret:[a-z]+\]", "", masked) == kept


@pytest.mark.parametrize("value", ["SHA000AA", "aes771QX", "win404ZZ", "ISO900XY", "abc123LY", "wpa777ED"])
def test_a_password_may_begin_like_an_algorithm_or_end_like_an_adverb(value: str) -> None:
    assert [f"password: {value}"[span.start : span.end] for span in find(f"password: {value}")] == [value]


@pytest.mark.parametrize(
    "word", ["sha256", "SHA-512", "md5", "base64", "utf-8", "WPA2-PSK", "oauth2", "argon2id", "win10"]
)
def test_the_name_of_an_algorithm_is_no_password(word: str) -> None:
    assert not find(f"the password is {word}")


@given(
    st.from_regex(r"[A-Za-z]{3}[0-9]{3}[A-Z]{2}", fullmatch=True),
    st.sampled_from(["password: {}", "my pw is {}.", "the password was {}, ok?"]),
)
@settings(max_examples=100, deadline=None)
def test_any_made_up_password_after_a_cue_is_marked(value: str, frame: str) -> None:
    text = frame.format(value)
    assert [text[span.start : span.end] for span in find(text)] == [value]
