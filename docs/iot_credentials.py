"""Credentials for a device with a certificate, from the credential provider of AWS IoT Core, as boto3 asks for them.

In ~/.aws/config of the device:

    [default]
    region = eu-central-1
    credential_process = python3 /opt/iot_credentials.py ENDPOINT ROLE_ALIAS THING CERTIFICATE KEY

ENDPOINT is what `aws iot describe-endpoint --endpoint-type iot:CredentialProvider` prints. boto3, and so windrow's
Producer, runs this when it needs credentials, and again shortly before they expire.

https://docs.aws.amazon.com/iot/latest/developerguide/authorizing-direct-aws.html
"""

import http.client
import json
import ssl
import sys

SECONDS_MAX = 10


def credentials(endpoint: str, role_alias: str, thing: str, certificate: str, key: str) -> dict[str, object]:
    """Return the device's credentials in the form of a credential_process; errors are those of the connection."""
    context = ssl.create_default_context()
    context.load_cert_chain(certificate, key)
    connection = http.client.HTTPSConnection(endpoint, context=context, timeout=SECONDS_MAX)
    try:
        connection.request("GET", f"/role-aliases/{role_alias}/credentials", headers={"x-amzn-iot-thingname": thing})
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise SystemExit(f"{endpoint} refuses {thing}: {response.status} {body.decode(errors='replace')}")
    found = json.loads(body)["credentials"]
    return {
        "Version": 1,
        "AccessKeyId": found["accessKeyId"],
        "SecretAccessKey": found["secretAccessKey"],
        "SessionToken": found["sessionToken"],
        "Expiration": found["expiration"],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(credentials(*sys.argv[1:6])))
