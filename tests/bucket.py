"""Looks at a store with a client that is not ours: makes the bucket, and compares what lies in it
with the manifests that lie beside it. Called by bucket.sh."""

import hashlib
import json
import os
import sys
import urllib.request

import boto3
import botocore.exceptions

endpoint = os.environ["RUNSHEET_TEST_STORE"]


def client(service, key="first", secret="first"):
    key = os.environ.get("AWS_ACCESS_KEY_ID", key)
    secret = os.environ.get("AWS_SECRET_ACCESS_KEY", secret)
    return boto3.client(service, endpoint_url=endpoint, region_name="us-east-1",
                        aws_access_key_id=key, aws_secret_access_key=secret)


def prepare():
    """Makes the bucket. Moto, which believes everybody at first, gets a user, and looks at every
    signature from then on; its keys are printed for the shell."""
    client("s3").create_bucket(Bucket="vault")
    if "--users" in sys.argv:
        iam = client("iam")
        iam.create_user(UserName="runsheet")
        may = {"Version": "2012-10-17",
               "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
        iam.put_user_policy(UserName="runsheet", PolicyName="may", PolicyDocument=json.dumps(may))
        keys = iam.create_access_key(UserName="runsheet")["AccessKey"]
        print(f"AWS_ACCESS_KEY_ID={keys['AccessKeyId']}")
        print(f"AWS_SECRET_ACCESS_KEY={keys['SecretAccessKey']}")
        request = urllib.request.Request(f"{endpoint}/moto-api/reset-auth", data=b"0",
                                         headers={"Content-Type": "text/plain"})
        urllib.request.urlopen(request).read()


def compare():
    """Every file of every manifest is there, with its checksum; the large ones came in parts; no
    upload was left unfinished."""
    s3 = client("s3")
    listed = s3.list_objects_v2(Bucket="vault").get("Contents", [])
    names = [one["Key"] for one in listed]
    body = lambda key: s3.get_object(Bucket="vault", Key=key)["Body"].read()
    manifests = [name for name in names if name.endswith(".manifest.json")]
    if not manifests:
        sys.exit("there is no manifest in the bucket")
    compared = in_parts = 0
    for name in manifests:
        folder = name.rsplit("/", 1)[0]
        for file in json.loads(body(name))["files"]:
            key = f"{folder}/{file['name']}"
            members = [other for other in names if other.startswith(key + "/")]
            if members:
                sizes = sum(len(body(member)) for member in members)
                if sizes != file["bytes"]:
                    sys.exit(f"{key}: {sizes} bytes instead of {file['bytes']}")
            elif hashlib.sha256(body(key)).hexdigest() != file["sha256"]:
                sys.exit(f"{key} is not what the manifest says")
            compared += 1
            if file["bytes"] > 16 << 20 and not members:
                tag = s3.head_object(Bucket="vault", Key=key)["ETag"]
                in_parts += 1
                print(f"{key}: {file['bytes']} bytes, ETag {tag}")
    try:
        left = s3.list_multipart_uploads(Bucket="vault").get("Uploads", [])
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "NotImplemented":
            raise
        print("whether an upload was left unfinished, this store does not say")
        left = []
    if left:
        sys.exit(f"unfinished uploads: {left}")
    if not in_parts:
        sys.exit("nothing was large enough for parts")
    print(f"{compared} files of {len(manifests)} manifests are the same in the bucket")


{"prepare": prepare, "compare": compare}[sys.argv[1]]()
