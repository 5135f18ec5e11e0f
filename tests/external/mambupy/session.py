"""Creates, reads, lists, changes and finds clients by MambuPy: session.py http://127.0.0.1:8080 FOLDER.

FOLDER has certificate.pem and key.pem. The user is `admin`, the password is in CLIENTELE_PASSWORD.
"""

import asyncio
import datetime
import logging
import os
import ssl
import sys
import threading
import urllib.parse
import uuid

SERVER = urllib.parse.urlsplit(sys.argv[1])
FOLDER = sys.argv[2]
PASSWORD = os.environ["CLIENTELE_PASSWORD"]


async def copy(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def forward(reader, writer):
    """Passes one decrypted connection on to the server."""
    below_reader, below_writer = await asyncio.open_connection(SERVER.hostname, SERVER.port)
    await asyncio.gather(copy(reader, below_writer), copy(below_reader, writer), return_exceptions=True)


def encrypt():
    """Accepts HTTPS on a free port in the background. Returns the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{FOLDER}/certificate.pem", f"{FOLDER}/key.pem")
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(forward, "127.0.0.1", 0, ssl=context))
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return server.sockets[0].getsockname()[1]


os.environ["MAMBUPY_APIURL"] = f"127.0.0.1:{encrypt()}"
os.environ["MAMBUPY_APIUSER"] = "admin"
os.environ["MAMBUPY_APIPWD"] = PASSWORD

import requests
from mambupy.mambugeturl import getmambuurl
from mambupy.mambuutil import MambuError
from mambupy.rest.mambuclient import MambuClient, MambuClients


def equal(found, expected):
    if found != expected:
        raise AssertionError(f"expected {expected!r}, but got {found!r}")


def define():
    """Defines the custom fields of the session. The library can't."""
    query = """mutation { upsertCustomFieldSet(input: { set: { setId: "mambupy", name: "MambuPy" }, fields: [
        { fieldId: "mambupy_shoe", name: "Shoe", type: TEXT }, { fieldId: "mambupy_size", name: "Size", type: NUMBER }
    ] }) { userErrors { message } } }"""
    answer = requests.post(f"{sys.argv[1]}/graphql", json={"query": query}, auth=("admin", PASSWORD))
    equal(answer.json(), {"data": {"upsertCustomFieldSet": {"userErrors": []}}})


def searchurl(entid, *args, **kwargs):
    return getmambuurl(*args, **kwargs) + "clients/search"


def search(*constraints):
    found = MambuClients(urlfunc=searchurl, data={"filterConstraints": list(constraints)})
    return [client["id"] for client in found]


def constraint(selection, element, value, kind="NATIVE"):
    return {"dataFieldType": kind, "filterSelection": selection, "filterElement": element, "value": value}


def main():
    # The library logs every refusal, also those that are expected below.
    logging.disable()
    define()
    # A last name of this run, so that lists have its client only.
    name = f"Okafor{uuid.uuid4().hex}"

    created = MambuClient(connect=False)
    created.create({
        "client": {
            "firstName": "Ines", "lastName": name, "birthDate": "1990-04-17", "gender": "FEMALE", "notes": "new",
        },
        "addresses": [{"line1": "1 Test Lane", "city": "Exampleton"}],
        "idDocuments": [{"documentType": "Passport", "documentId": "X1234567"}],
        "customInformation": [{"customFieldID": "mambupy_shoe", "value": "left"}],
    })
    client_id = created["id"]
    equal((created["lastName"], created["mambupy_shoe"]), (name, "left"))

    read = MambuClient(entid=client_id, fullDetails=True)
    equal(read["encodedKey"], created["encodedKey"])
    equal((read["name"], read["birthDate"]), (f"Ines {name}", datetime.datetime(1990, 4, 17)))
    equal((read["address"]["city"], read["Passport"], read["Shoe"]), ("Exampleton", "X1234567", "left"))
    equal((read["state"], read["groupKeys"]), ("INACTIVE", []))
    equal(MambuClient(entid=created["encodedKey"])["id"], client_id)

    for filters in [{"lastName": name}, {"lastName": name, "birthdate": "1990-04-17"}]:
        equal([client["id"] for client in MambuClients(**filters)], [client_id])
    listed = MambuClients(lastName=name, fullDetails=True, limit=1)
    equal([client["address"]["city"] for client in listed], ["Exampleton"])
    equal(len(MambuClients(lastName=name, offset=1)), 0)

    read.update_patch({"client": {"notes": "patched", "middleName": "Ana"}})
    read.connect(fullDetails=True)
    equal((read["notes"], read["middleName"], read["address"]["city"]), ("patched", "Ana", "Exampleton"))

    read.update(
        {
            "client": {"notes": "updated", "mobilePhone1": "49 1"},
            "customInformation": [{"customFieldID": "mambupy_size", "value": "41.5"}],
            "addresses": [{"line1": "2 Test Lane", "city": "Elsewhere"}],
        },
        fullDetails=True,
    )
    equal((read["notes"], read["middleName"]), ("updated", "Ana"))
    equal((read["mambupy_shoe"], str(read["mambupy_size"])), ("left", "41.5"))
    equal((read["address"]["city"], read["Passport"]), ("Elsewhere", "X1234567"))

    equal(search(constraint("LAST_NAME", "EQUALS", name.lower())), [client_id])
    size = constraint("mambupy_size", "MORE_THAN", "41", "CUSTOM")
    equal(search(constraint("LAST_NAME", "STARTS_WITH", name), size), [client_id])
    equal(search(constraint("LAST_NAME", "EQUALS", name), constraint("GENDER", "EQUALS", "MALE")), [])

    for refused, expected in [
        (lambda: MambuClient(entid="NOPE"), "INVALID_CLIENT_ID"),
        (lambda: read.update_patch({"client": {"emailAddress": "none"}}), "EMAIL_ADDRESS_FORMAT_IS_INVALID"),
        (lambda: search(constraint("LOANS_COUNT", "EQUALS", "1")), "INVALID_PARAMETERS"),
    ]:
        try:
            refused()
        except MambuError as error:
            equal(str(error), expected)
        else:
            raise AssertionError(f"no {expected}")
    print("MambuPy: created, read, listed, patched, updated and found a client")


if __name__ == "__main__":
    main()
