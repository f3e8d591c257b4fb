"""Names of places, people and buildings for the variants of training captions.

CC3M has its names replaced by hypernyms and Visual Genome has hardly any, so the silver alone
teaches few of them. These lists are ours; made-up names beside them teach the context and the
shape of a name rather than the name itself.
"""

from __future__ import annotations

import random

CITIES = """Lisbon|Porto|Madrid|Barcelona|Seville|Valencia|Paris|Lyon|Marseille|Nice|London|Oxford
|Manchester|Edinburgh|Glasgow|Dublin|Berlin|Munich|Hamburg|Cologne|Vienna|Salzburg|Zurich|Geneva
|Rome|Milan|Venice|Florence|Siena|Lucca|Verona|Bologna|Naples|Orvieto|Cortona|Positano|Amalfi
|Prague|Budapest|Warsaw|Krakow|Athens|Istanbul|Ankara|Moscow|Oslo|Bergen|Stockholm|Copenhagen
|Helsinki|Reykjavik|Amsterdam|Rotterdam|Brussels|Bruges|Antwerp|New York|Boston|Chicago|Seattle
|Portland|San Francisco|Los Angeles|San Diego|Las Vegas|Austin|Houston|Dallas|New Orleans|Miami
|Atlanta|Philadelphia|Washington|Denver|Toronto|Montreal|Vancouver|Quebec City|Mexico City|Oaxaca
|Havana|Bogota|Cartagena|Lima|Cusco|Quito|Santiago|Buenos Aires|Rio de Janeiro|Sao Paulo|Salvador
|Cairo|Luxor|Marrakech|Fez|Casablanca|Tunis|Nairobi|Cape Town|Johannesburg|Lagos|Accra|Dakar
|Jerusalem|Tel Aviv|Amman|Petra|Dubai|Doha|Tehran|Isfahan|Mumbai|Delhi|Kolkata|Jaipur|Varanasi
|Chennai|Kathmandu|Colombo|Bangkok|Chiang Mai|Hanoi|Hoi An|Singapore|Kuala Lumpur|Jakarta|Ubud
|Manila|Hong Kong|Shanghai|Beijing|Taipei|Seoul|Busan|Tokyo|Kyoto|Osaka|Nara|Sydney|Melbourne
|Perth|Brisbane|Auckland|Wellington|Queenstown|Honolulu|Anchorage|Dubrovnik|Split|Ljubljana|Riga
|Tallinn|Vilnius|Bucharest|Sofia|Belgrade|Sarajevo|Valletta|Nicosia|Granada|Toledo|Bruges"""

REGIONS = """Italy|Spain|Portugal|France|England|Scotland|Ireland|Germany|Austria|Switzerland
|Greece|Turkey|Russia|Norway|Sweden|Denmark|Finland|Iceland|Poland|Hungary|Croatia|Slovenia
|Romania|Belgium|Netherlands|United Kingdom|United States|USA|Canada|Mexico|Cuba|Brazil|Peru
|Chile|Argentina|Colombia|Ecuador|Egypt|Morocco|Tunisia|Kenya|South Africa|Ghana|Nigeria|Israel
|Jordan|India|Nepal|Sri Lanka|Thailand|Vietnam|Cambodia|Laos|Malaysia|Indonesia|Philippines|China
|Japan|South Korea|Taiwan|Australia|New Zealand|Tuscany|Umbria|Provence|Bavaria|Andalusia|Catalonia
|California|Texas|Florida|Oregon|Arizona|Utah|Colorado|Hawaii|Alaska|Ontario|Kerala|Rajasthan"""

FIRST_NAMES = """Anna|Maria|John|James|David|Michael|Peter|Paul|Laura|Emma|Sofia|Julia|Robert|Sarah
|Thomas|Daniel|Lucas|Elena|Marco|Giulia|Pierre|Claire|Hans|Ingrid|Yuki|Kenji|Priya|Arjun|Wei|Mei
|Omar|Fatima|Ahmed|Leila|Carlos|Lucia|Diego|Olga|Ivan|Kate|George|William|Harry|Grace|Oliver"""

LAST_NAMES = """Smith|Jones|Brown|Taylor|Wilson|Miller|Davis|Garcia|Martinez|Rossi|Bianchi|Dubois
|Martin|Schmidt|Fischer|Weber|Novak|Kowalski|Ivanov|Petrov|Tanaka|Suzuki|Kim|Park|Chen|Wang|Singh
|Patel|Khan|Hassan|Silva|Santos|Lopez|Moreno|Andersen|Larsen|Johansson|Murphy|Kelly|Clark"""

BUILDING_WORDS = """Market|Bridge|Square|Park|Station|Museum|Tower|Street|Avenue|Harbour|Beach|Hotel
|Arch|Fountain|Church|Cathedral|Castle|Theatre|Stadium|Airport|Plaza|Gardens|Palace"""


def split_list(text: str) -> tuple[str, ...]:
    """The names of one of the lists above."""
    return tuple(name.strip() for name in text.replace("\n", "").split("|"))


ONSETS = split_list("b|c|d|f|g|l|m|n|p|r|s|t|v|br|cr|dr|gr|pr|tr|st|ch|sh|bl|cl|fl|gl")
VOWELS = split_list("a|e|i|o|u|a|e|i|o|ia|ea|io|ou|au")
CODAS = split_list("n|r|l|s|m|ll|nt|rd|rt|ss|nd|ck")
PLACE_ENDINGS = split_list(
    "ano|ciano|ville|ton|burg|berg|stad|mouth|ford|ona|ena|ara|ino|etta|osa|ola"
)

CITY_NAMES = split_list(CITIES)
REGION_NAMES = split_list(REGIONS)
FIRST = split_list(FIRST_NAMES)
LAST = split_list(LAST_NAMES)
BUILDINGS = split_list(BUILDING_WORDS)


def made_up_name(rng: random.Random, *, place: bool) -> str:
    """A name that nobody bears, of one to three syllables and, for a place, a place's ending."""
    syllables = [
        rng.choice(ONSETS) + rng.choice(VOWELS) + (rng.choice(CODAS) if rng.random() < 0.4 else "")
        for _ in range(rng.choice((1, 1, 2) if place else (1, 2, 2, 3)))
    ]
    name = "".join(syllables) + (rng.choice(PLACE_ENDINGS) if place else "")
    return name.capitalize()


def place_name(rng: random.Random) -> str:
    """A town: a real one or, half of the time, a made-up one."""
    if rng.random() < 0.5:
        return rng.choice(CITY_NAMES)
    name = made_up_name(rng, place=True)
    return f"{made_up_name(rng, place=False)} {name}" if rng.random() < 0.15 else name
