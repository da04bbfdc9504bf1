# MONAI Deploy App SDK beside the bundle. Its server client asks for other versions of protobuf and grpcio than our pins.
# pydicom and highdicom are not among the SDK's requirements, and its operators cannot be imported without them.
grep -vE '^(protobuf|grpcio)==' constraints.txt >"$(dirname "$(dirname "$(command -v python)")")/constraints.txt"
python -m pip install --quiet -c "$(dirname "$(dirname "$(command -v python)")")/constraints.txt" \
    monai-deploy-app-sdk==4.0.0 'pydicom>=3' highdicom "$(grep '^torch==' constraints.txt)" -e .
