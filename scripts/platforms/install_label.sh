#!/usr/bin/env bash
# The environment of check_label.py: MONAI Label's server without what only its other apps need. All of it asks for
# numpy < 2; the server runs with the pinned numpy. The bundle itself is not installed: the server finds it in its folder.
set -euo pipefail
python -m pip install --quiet -c constraints.txt $(python scripts/platforms/dependencies.py)
python -m pip install --quiet --no-deps monailabel==0.8.5
python -m pip install --quiet -c constraints.txt \
    uvicorn==0.54.0 fastapi==0.165.0 pydantic-settings==2.16.3 python-dotenv==1.2.4 python-multipart==0.0.34 \
    httpx==0.28.1 requests==2.34.2 requests-toolbelt==1.0.0 schedule==1.2.2 timeloop==1.0.2 expiring_dict==1.1.2 \
    expiringdict==1.2.2 cachetools==8.0.2 watchdog==7.1.0 "dicomweb-client[gcp]==0.61.2" google-auth==2.63.0 \
    pydicom==3.0.2 highdicom==0.28.2 pynrrd==1.1.3 girder-client==5.0.21 passlib==1.7.4 pyjwt==2.15.1 bcrypt==5.0.0 \
    itk==5.4.7 SimpleITK==2.5.7 shapely==2.2.0 psutil==7.2.2
# modules that the server imports as it starts and that nothing here calls
cp -R scripts/platforms/label/stand_ins/. "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
